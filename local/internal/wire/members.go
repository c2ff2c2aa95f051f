package wire

import (
	"reflect"
	"regexp"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

var (
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
)

// exceptions holds the members whose name on the wire does not follow from the Go field's: by rule it is the field's
// name in AWS Query, and the same with a small first letter in AWS JSON. TestEveryOperationSurvivesTheWire finds them.
var exceptions = map[reflect.Type]map[string]string{
	reflect.TypeFor[cloudwatchlogs.DescribeDestinationsInput](): {"DestinationNamePrefix": "DestinationNamePrefix"},
	reflect.TypeFor[ecrtypes.Tag]():                             {"Key": "Key", "Value": "Value"},
	reflect.TypeFor[ststypes.PolicyDescriptorType]():            {"Arn": "arn"},
}

// capitalized are the packages of services that speak AWS JSON with the names of AWS Query.
var capitalized = regexp.MustCompile(`/service/(secretsmanager|ssm)(/types)?$`)

// A member is a field of an SDK struct that goes over the wire.
type member struct {
	index int
	name  string // on the wire
}

// members lists t's members in order, with the names that rule gives them. ResultMetadata and the SDK's unexported
// marker are none.
func members(t reflect.Type, rule func(field string) string) []member {
	var list []member
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" {
			continue
		}
		list = append(list, member{index: i, name: memberName(t, f.Name, rule)})
	}
	return list
}

func memberName(t reflect.Type, field string, rule func(field string) string) string {
	if name, ok := exceptions[t][field]; ok {
		return name
	}
	if capitalized.MatchString(t.PkgPath()) {
		return field
	}
	return rule(field)
}

// memberIndex finds the member called name.
func memberIndex(t reflect.Type, rule func(field string) string, name string) (int, bool) {
	for _, m := range members(t, rule) {
		if m.name == name {
			return m.index, true
		}
	}
	return 0, false
}

func jsonName(field string) string {
	first, size := utf8.DecodeRuneInString(field)
	return string(unicode.ToLower(first)) + field[size:]
}

func queryName(field string) string { return field }
