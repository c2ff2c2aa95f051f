package cloudformation

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// A stackRecord is a stack as the store keeps it, under the key NAME/UUID.
type stackRecord struct {
	ID      string
	Name    string
	Status  types.StackStatus
	Reason  string
	Created time.Time
	Updated time.Time
	Deleted time.Time

	TerminationProtection bool
	DisableRollback       bool
	TimeoutInMinutes      *int32
	ChangeSetID           string
	// Role is the ARN of the role that operations act with, if any.
	Role string

	// Current is what the stack is, or is being changed to.
	Current revision
	// Resources are the stack's resources by logical id.
	Resources map[string]resourceRecord
	Outputs   []outputRecord
	// Imports are the exports of other stacks that this one uses.
	Imports []string

	// Before is what a roll-back leads back to; nil when there is nothing to
	// roll back. Garbage are resources that nothing refers to any more and
	// that are deleted when the operation is done.
	Before  *snapshot
	Garbage []garbage

	// Token is the ClientRequestToken of the last operation, Operation its
	// id, Events the number of events so far.
	Token     string
	Operation string
	Events    int
	LastEvent time.Time

	// Operations are the last ones, the newest first.
	Operations []types.OperationEntry
	// DeletionUnseen is set while nobody has asked for the stack by its name
	// since its deletion began.
	DeletionUnseen bool
}

// A revision is what a stack is made from.
type revision struct {
	Body         string
	Parameters   map[string]template.ParameterValue
	Tags         []types.Tag
	Capabilities []types.Capability
}

// A snapshot is a stack's stable state before an operation.
type snapshot struct {
	Current   revision
	Resources map[string]resourceRecord
	Outputs   []outputRecord
	Imports   []string
}

// A resourceRecord is one resource of a stack.
type resourceRecord struct {
	LogicalID    string
	Type         string
	PhysicalID   string
	Status       types.ResourceStatus
	Reason       string
	Changed      time.Time
	Properties   map[string]any
	Attributes   map[string]any
	Metadata     map[string]any
	DependsOn    []string
	DeletePolicy string
	// Imported is set when the stack took the resource over: a roll-back leaves
	// it.
	Imported bool
	// ReplacePolicy is the UpdateReplacePolicy.
	ReplacePolicy string
}

// An outputRecord is one output of a stack, resolved.
type outputRecord struct {
	Key         string
	Value       string
	Description string
	ExportName  string
}

// key is where the store has the stack.
func (s *stackRecord) key() string { return s.ID[strings.Index(s.ID, "/")+1:] }

// live reports whether the stack still holds its name.
func (s *stackRecord) live() bool { return s.Status != types.StackStatusDeleteComplete }

// busy reports whether an operation is at work on the stack.
func (s *stackRecord) busy() bool {
	return strings.HasSuffix(string(s.Status), "_IN_PROGRESS") && s.Status != types.StackStatusReviewInProgress
}

// graph is the dependency graph of resources that exist.
func graph(resources map[string]resourceRecord) map[string][]string {
	edges := make(map[string][]string, len(resources))
	for id, r := range resources {
		edges[id] = r.DependsOn
	}
	return edges
}

// stackName is the form that CloudFormation requires of stack and change set
// names.
var stackName = lazyregexp.New(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

func checkName(field, name string) error {
	if !stackName().MatchString(name) {
		return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", name, field)
	}
	return nil
}

// arn builds the id of a stack or change set.
func (s *Service) arn(kind, name, unique string) string {
	return fmt.Sprintf("arn:aws:cloudformation:%s:%s:%s/%s/%s", s.Region, iam.AccountID, kind, name, unique)
}
