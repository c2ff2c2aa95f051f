package wire

import (
	"reflect"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

var (
	timeType  = reflect.TypeFor[time.Time]()
	bytesType = reflect.TypeFor[[]byte]()
)

// exceptions holds the members whose wire name does not follow the rule. By the
// rule, the wire name is the Go field's name in AWS Query, and the same with a
// lower-case first letter in AWS JSON. TestEveryOperationSurvivesTheWire fails
// for a missing exception.
var exceptions = map[reflect.Type]map[string]string{
	reflect.TypeFor[cloudwatchlogs.DescribeDestinationsInput](): {"DestinationNamePrefix": "DestinationNamePrefix"},
	reflect.TypeFor[ecrtypes.Tag]():                             {"Key": "Key", "Value": "Value"},
	reflect.TypeFor[ststypes.PolicyDescriptorType]():            {"Arn": "arn"},
}

// capitalized matches the packages of services that use AWS JSON with the
// member names of AWS Query.
var capitalized = lazyregexp.New(`/service/(secretsmanager|ssm)(/types)?$`)

// A member is a field of an SDK struct that is sent.
type member struct {
	index int
	name  string // on the wire
	key   []byte // the name as a JSON string, with its colon
}

// A naming caches the members of the SDK's structs, named by the rule of a
// protocol and in the order of the fields. ResultMetadata and the SDK's
// unexported marker are not members.
type naming struct {
	rule  func(field string) string
	known sync.Map // []member by reflect.Type
}

var (
	jsonNames  = &naming{rule: lowerFirst}
	queryNames = &naming{rule: func(field string) string { return field }}
)

func (n *naming) members(t reflect.Type) []member {
	if known, ok := n.known.Load(t); ok {
		return known.([]member)
	}
	var list []member
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" {
			continue
		}
		name := memberName(t, f.Name, n.rule)
		list = append(list, member{index: i, name: name, key: append(strconv.AppendQuote(nil, name), ':')})
	}
	n.known.Store(t, list)
	return list
}

// index returns the index of the field with the given wire name.
func (n *naming) index(t reflect.Type, name string) (int, bool) {
	for _, m := range n.members(t) {
		if m.name == name {
			return m.index, true
		}
	}
	return 0, false
}

func memberName(t reflect.Type, field string, rule func(field string) string) string {
	if name, ok := exceptions[t][field]; ok {
		return name
	}
	if capitalized().MatchString(t.PkgPath()) {
		return field
	}
	return rule(field)
}

func lowerFirst(field string) string {
	first, size := utf8.DecodeRuneInString(field)
	return string(unicode.ToLower(first)) + field[size:]
}
