// Package deploy deploys a CloudFormation template as a stack, by change sets:
//
//	result, err := deploy.Run(ctx, cfg, deploy.Deployment{
//		Stack:      "flexbuild",
//		Template:   flexbuild.Template,
//		Parameters: map[string]string{"TimeoutInMinutes": "90"},
//		Report:     func(line string) { fmt.Fprintln(os.Stderr, line) },
//	})
//
// Run creates the stack or updates it, waits until that is done and returns the
// stack's outputs. It can be called again at any time, also after it was cut
// off: it first waits until CloudFormation has finished working on the stack,
// and it does not change a stack that is up to date.
//
// It uses nothing but the SDK, so that it is the same on AWS and on the local
// engine.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"
)

// How a deployment ends badly. The errors of [Run] wrap one of them, unless a
// call failed for another reason.
var (
	// ErrInvalid: the template, a parameter or the stack's status does not
	// allow the deployment. Nothing was changed.
	ErrInvalid = errors.New("cannot be deployed")
	// ErrFailed: a resource could not be made or changed.
	ErrFailed = errors.New("deployment failed")
	// ErrGoesOn: the deployment was started, and its end was not seen.
	// CloudFormation goes on by itself, and another [Run] waits for it.
	ErrGoesOn = errors.New("the deployment goes on without this program")
)

// A Deployment says what to deploy.
type Deployment struct {
	Stack    string // its name
	Template string // JSON or YAML, 51,200 bytes at most
	// Parameters are values by name. Parameters that are not here keep the
	// value that the stack has, and in a new stack the template's default.
	Parameters map[string]string
	// ImportExisting makes the stack take over resources that exist under names
	// that the template gives, as an earlier stack leaves them.
	ImportExisting bool
	// Recreate deletes a stack whose creation or deletion failed, which cannot
	// be updated, and makes a new one. Without it, such a stack is an
	// ErrInvalid.
	Recreate bool
	// RefuseOthers makes a stack that has none of the template's parameters an
	// ErrInvalid: it was made from another template, and an update would remove
	// everything that this one does not have.
	RefuseOthers bool
	// Timeout is how long Run waits; an hour if it is 0.
	Timeout time.Duration
	// Report is called with each line about what will happen and what happens.
	Report func(line string)
}

// A Result is a stack that is deployed.
type Result struct {
	StackID string
	Changed bool // false if the stack was up to date
	Outputs map[string]string
}

// Run deploys.
func Run(ctx context.Context, cfg aws.Config, d Deployment) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout(), errTimeout)
	defer cancel()
	r := run{Deployment: d, client: newClient(cfg), token: uuid.NewString(), known: map[string]bool{}}
	result, err := r.deploy(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("stack %q: %w", d.Stack, err)
	}
	return result, nil
}

func (d Deployment) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return time.Hour
}

// Status returns the status of the stack of a name, "" if there is none.
func Status(ctx context.Context, cfg aws.Config, name string) (types.StackStatus, error) {
	r := run{client: newClient(cfg)}
	stack, err := r.find(ctx, name)
	if err != nil || stack == nil {
		return "", err
	}
	return stack.StackStatus, nil
}

// A run is one deployment. Its token makes it one: CloudFormation takes a
// request with a token that it knows for the same request, which the SDK sends
// again when an answer is lost.
type run struct {
	Deployment
	client *cloudformation.Client
	token  string
	isNew  bool            // there was no stack of that name
	known  map[string]bool // ids of the events that were read
}

func (r *run) report(format string, args ...any) {
	if r.Report != nil {
		r.Report(fmt.Sprintf(format, args...))
	}
}

func (r *run) deploy(ctx context.Context) (Result, error) {
	template, err := r.summary(ctx)
	if err != nil {
		return Result{}, err
	}
	stack, err := r.settledStack(ctx)
	if err != nil {
		return Result{}, err
	}
	if r.RefuseOthers && stack != nil && !template.made(stack) {
		return Result{}, invalid("it was made from another template, as it has no parameter %s, and an update would remove or replace its resources: update it with the tool that deployed it, or name another stack", template.parameters[0])
	}
	set, err := r.plan(ctx, stack, template)
	if err != nil {
		return Result{}, err
	}
	if set == nil {
		r.report("no changes")
		return resultOf(*stack, false), nil
	}
	if err := r.execute(ctx, set); err != nil {
		return Result{}, err
	}
	done, err := r.followToEnd(ctx, *set.StackId)
	if err != nil {
		return Result{}, err
	}
	return resultOf(*done, true), nil
}

func resultOf(stack types.Stack, changed bool) Result {
	result := Result{StackID: *stack.StackId, Changed: changed, Outputs: map[string]string{}}
	for _, output := range stack.Outputs {
		result.Outputs[aws.ToString(output.OutputKey)] = aws.ToString(output.OutputValue)
	}
	return result
}
