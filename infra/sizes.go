package infra

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
)

// Characters that policies may have, without white space (IAM user guide, "IAM
// and AWS STS quotas"). Those of a role, user or group are for all of its
// inline policies together. The CDK moves what is too much for a role that it
// makes into managed policies, and does nothing of the sort for the others.
const (
	maxRolePolicies  = 10240
	maxUserPolicies  = 2048
	maxGroupPolicies = 5120
	maxManagedPolicy = 6144
)

// policyRoom is a policy that the builder adds to, or several that share their
// room. Sizes are in characters.
type policyRoom struct {
	owner      string
	size, most int
	help       string
}

// policiesTooLarge names the policies that the builder adds to and that AWS
// would refuse at deployment.
func (b *imageBuilder) policiesTooLarge() []string {
	var problems []string
	for _, room := range b.policyRooms() {
		text := fmt.Sprintf("the policy of %s has about %d characters, and IAM takes %d: %s", room.owner, room.size, room.most, room.help)
		if room.size > room.most && !slices.Contains(problems, text) {
			problems = append(problems, text)
		}
	}
	return problems
}

func (b *imageBuilder) policyRooms() []policyRoom {
	var rooms []policyRoom
	if b.policy != nil {
		rooms = append(rooms, policyRoom{"the builds' role", b.inlinePolicies(), maxRolePolicies,
			"allow fewer secrets, repositories and buckets one by one, or give a Role that is not mutable and has managed policies"})
	}
	for _, grantee := range b.grantees {
		rooms = append(rooms, roomsOf(grantee)...)
	}
	return rooms
}

// inlinePolicies is the size of the inline policies of the builds' role, the
// builder's own and those of others, in the builder's stack and in the role's.
func (b *imageBuilder) inlinePolicies() int {
	own, roles := awscdk.Stack_Of(b), awscdk.Stack_Of(b.role)
	size := inlinePoliciesIn(own, b.role)
	if *own.Node().Path() != *roles.Node().Path() {
		size += inlinePoliciesIn(roles, b.role)
	}
	return size
}

func inlinePoliciesIn(stack awscdk.Stack, role awsiam.IRole) (size int) {
	name := fmt.Sprint(stack.Resolve(role.RoleName()))
	for _, construct := range *stack.Node().FindAll(constructs.ConstructOrder_PREORDER) {
		policy, ok := construct.(awsiam.CfnPolicy)
		if !ok || policy.Roles() == nil {
			continue
		}
		roles, _ := stack.Resolve(policy.Roles()).([]any) // none for a role that is not mutable
		if slices.ContainsFunc(roles, func(role any) bool { return fmt.Sprint(role) == name }) {
			size += policySize(stack.Resolve(policy.PolicyDocument()))
		}
	}
	return size
}

// roomsOf returns the policy that the CDK keeps a grantee's statements in, if
// that has a limit that the CDK does not see to.
func roomsOf(grantee awsiam.IGrantable) []policyRoom {
	switch grantee := grantee.(type) {
	case awsiam.ManagedPolicy:
		return []policyRoom{{*grantee.Node().Path(), documentSize(grantee, grantee.Document()), maxManagedPolicy,
			"give each GrantStart a managed policy of its own, or a role"}}
	case awsiam.IUser:
		return inlineRooms(grantee, maxUserPolicies)
	case awsiam.IGroup:
		return inlineRooms(grantee, maxGroupPolicies)
	}
	return nil
}

// inlineRooms returns the inline policy of a user or group. An imported one's
// has another id.
func inlineRooms(owner constructs.IConstruct, most int) []policyRoom {
	for _, id := range []string{"DefaultPolicy", "Policy"} {
		if policy, ok := owner.Node().TryFindChild(&id).(awsiam.Policy); ok {
			return []policyRoom{{*owner.Node().Path(), documentSize(owner, policy.Document()), most,
				"grant to a role, or to an awsiam.ManagedPolicy that it has"}}
		}
	}
	return nil
}

func documentSize(owner constructs.IConstruct, document awsiam.PolicyDocument) int {
	return policySize(awscdk.Stack_Of(owner).Resolve(document))
}

// policySize is the number of characters of a resolved document, as IAM counts
// them.
func policySize(document any) int {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(deployedValue(document)); err != nil {
		panic(err) // it came from JSON
	}
	return utf8.RuneCount(bytes.TrimSpace(text.Bytes()))
}

// Lengths of what is known at deployment only. They are rather low, because the
// synthesis must not refuse what AWS would take.
var deployedLengths = map[string]int{
	"AWS::AccountId": 12, "AWS::Partition": len("aws"), "AWS::Region": len("eu-central-1"), "AWS::URLSuffix": len("amazonaws.com"),
	"AWS::StackName": 20, "Ref": 30, "Fn::GetAtt": 60,
}

// deployedValue is a value with texts of about the right length in place of
// CloudFormation's functions.
func deployedValue(value any) any {
	switch value := value.(type) {
	case []any:
		all := make([]any, len(value))
		for i, one := range value {
			all[i] = deployedValue(one)
		}
		return all
	case map[string]any:
		if text, ok := deployedText(value); ok {
			return text
		}
		all := map[string]any{}
		for key, one := range value {
			all[key] = deployedValue(one)
		}
		return all
	}
	return value
}

func deployedText(function map[string]any) (string, bool) {
	if len(function) != 1 {
		return "", false
	}
	for name, argument := range function {
		if parts, ok := argument.([]any); ok && name == "Fn::Join" {
			return joinedText(parts), true
		}
		if name != "Ref" && !strings.HasPrefix(name, "Fn::") {
			return "", false
		}
		length, known := deployedLengths[fmt.Sprint(argument)]
		if !known {
			length = cmp.Or(deployedLengths[name], deployedLengths["Ref"])
		}
		return strings.Repeat("x", length), true
	}
	return "", false
}

func joinedText(arguments []any) string {
	var parts []string
	for _, part := range arguments[1].([]any) {
		parts = append(parts, fmt.Sprint(deployedValue(part)))
	}
	return strings.Join(parts, fmt.Sprint(arguments[0]))
}
