package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/codebuild-flex/flexbuild/internal/deploy"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

// store is a template with a parameter of each kind of constraint. ECR refuses
// names of one letter, which Name allows.
const store = `{
	"Parameters": {
		"Name": {"Type": "String", "AllowedPattern": "[a-z/]+", "ConstraintDescription": "must be lower-case"},
		"Days": {"Type": "Number", "Default": 7, "MinValue": 1},
		"Kind": {"Type": "String", "Default": "MUTABLE", "AllowedValues": ["MUTABLE", "IMMUTABLE"]}
	},
	"Resources": {
		"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": {"Ref": "Name"}, "RetentionInDays": {"Ref": "Days"}}},
		"Images": {"Type": "AWS::ECR::Repository", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": {
			"RepositoryName": {"Ref": "Name"}, "ImageTagMutability": {"Ref": "Kind"}}}
	},
	"Outputs": {"Group": {"Value": {"Ref": "Logs"}}, "Days": {"Value": {"Ref": "Days"}}, "Kind": {"Value": {"Ref": "Kind"}}}
}`

// A deployer deploys to an engine of its own and keeps what is reported.
type deployer struct {
	*testing.T
	cfg   aws.Config
	lines []string
}

func newDeployer(t *testing.T, options ...localtest.Option) *deployer {
	t.Helper()
	return &deployer{T: t, cfg: localtest.New(t, options...).Config()}
}

func (d *deployer) run(ctx context.Context, cfg aws.Config, stack string, parameters ...string) (deploy.Result, error) {
	values := map[string]string{}
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		values[name] = value
	}
	d.lines = nil
	return deploy.Run(ctx, cfg, deploy.Deployment{
		Stack: stack, Template: store, Parameters: values,
		Report: func(line string) { d.lines = append(d.lines, line) },
	})
}

func (d *deployer) must(result deploy.Result, err error) deploy.Result {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
	return result
}

func (d *deployer) wantLine(line string) {
	d.Helper()
	if !strings.Contains("\n"+strings.Join(d.lines, "\n")+"\n", "\n"+line+"\n") {
		d.Errorf("%q is not reported:\n%s", line, strings.Join(d.lines, "\n"))
	}
}

// wantNothingLeft holds that a stack has no change set that was not executed,
// and that no stack was made for one.
func (d *deployer) wantNothingLeft(stack string) {
	d.Helper()
	d.settle(stack)
	client := cloudformation.NewFromConfig(d.cfg)
	out, err := client.DescribeStacks(d.Context(), &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		return // there is none
	}
	if out.Stacks[0].StackStatus == types.StackStatusReviewInProgress {
		d.Errorf("the stack %s is left in review", stack)
	}
	sets, err := client.ListChangeSets(d.Context(), &cloudformation.ListChangeSetsInput{StackName: &stack})
	if err != nil {
		d.Fatal(err)
	}
	for _, set := range sets.Summaries {
		if set.ExecutionStatus != types.ExecutionStatusExecuteComplete && set.ExecutionStatus != types.ExecutionStatusExecuteFailed {
			d.Errorf("a change set is left: %s, %s", set.Status, set.ExecutionStatus)
		}
	}
}

// begun returns how many operations a stack has seen, by its events.
func (d *deployer) begun(stack string) (count int) {
	d.Helper()
	pages := cloudformation.NewDescribeStackEventsPaginator(cloudformation.NewFromConfig(d.cfg), &cloudformation.DescribeStackEventsInput{StackName: &stack})
	for pages.HasMorePages() {
		page, err := pages.NextPage(d.Context())
		if err != nil {
			d.Fatal(err)
		}
		for _, e := range page.StackEvents {
			if aws.ToString(e.ResourceStatusReason) == "User Initiated" && e.ResourceStatus != "REVIEW_IN_PROGRESS" {
				count++
			}
		}
	}
	return count
}

// intercepted returns the configuration of a client whose calls and answers a
// function sees.
func (d *deployer) intercepted(see func(input, output any, err error)) aws.Config {
	cfg := d.cfg.Copy()
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("see", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleInitialize(ctx, in)
			see(in.Parameters, out.Result, err)
			return out, metadata, err
		}), middleware.Before)
	})
	return cfg
}

func TestParametersThatAreNotGivenKeepTheirValues(t *testing.T) {
	d := newDeployer(t)
	made := d.must(d.run(t.Context(), d.cfg, "s", "Name=team/app", "Kind=IMMUTABLE"))
	if got := fmt.Sprint(made.Changed, made.Outputs); got != "true map[Days:7 Group:team/app Kind:IMMUTABLE]" {
		t.Error(got)
	}
	d.wantLine("stack s in us-east-1, account 000000000000: 2 to add")
	d.wantLine("add AWS::Logs::LogGroup Logs")
	d.wantLine("CREATE_COMPLETE AWS::Logs::LogGroup Logs")

	changed := d.must(d.run(t.Context(), d.cfg, "s", "Days=30"))
	if got := fmt.Sprint(changed.Changed, changed.Outputs); got != "true map[Days:30 Group:team/app Kind:IMMUTABLE]" {
		t.Error(got)
	}
	d.wantLine("change AWS::Logs::LogGroup Logs: RetentionInDays")

	same := d.must(d.run(t.Context(), d.cfg, "s"))
	if got := fmt.Sprint(same.Changed, same.Outputs, d.lines); got != "false map[Days:30 Group:team/app Kind:IMMUTABLE] [no changes]" {
		t.Error(got)
	}
	d.wantNothingLeft("s")
}

func TestWhatIsReplacedIsNamedWithItsFate(t *testing.T) {
	d := newDeployer(t)
	d.must(d.run(t.Context(), d.cfg, "s", "Name=old"))
	d.must(d.run(t.Context(), d.cfg, "s", "Name=new"))
	d.wantLine("stack s in us-east-1, account 000000000000: 2 to replace")
	d.wantLine("REPLACE AWS::Logs::LogGroup Logs (old), which is deleted: LogGroupName")
	d.wantLine("REPLACE AWS::ECR::Repository Images (old), which stays outside of the stack: RepositoryName")
}

func TestWhatCannotBeIsRefusedBeforeAnythingIsMade(t *testing.T) {
	d := newDeployer(t)
	for parameter, want := range map[string]string{
		"Name=Upper": "Parameter 'Name' must be lower-case",
		"Nam=x":      `there is no parameter "Nam": the template has Days, Kind, Name`,
		"Days=0":     "Parameter 'Days' must be a number not less than 1",
		"Kind=other": `parameter Kind is "other": give one of MUTABLE, IMMUTABLE`,
		"Days=7":     "Parameters: [Name] must have values",
	} {
		_, err := d.run(t.Context(), d.cfg, "s", parameter)
		if !errors.Is(err, deploy.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", parameter, err, want)
		}
		d.wantNothingLeft("s")
	}
	if _, err := d.run(t.Context(), d.cfg, "1s", "Name=app"); !errors.Is(err, deploy.ErrInvalid) || !strings.Contains(err.Error(), "1s") {
		t.Error(err)
	}
}

func TestAStackOfAnotherTemplateIsLeftAlone(t *testing.T) {
	d := newDeployer(t)
	const other = `{"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "other"}}}, "Outputs": {"Group": {"Value": "other"}}}`
	made := d.must(deploy.Run(t.Context(), d.cfg, deploy.Deployment{Stack: "s", Template: other, RefuseOthers: true}))
	mine := deploy.Deployment{Stack: "s", Template: store, Parameters: map[string]string{"Name": "app"}, RefuseOthers: true}
	_, err := deploy.Run(t.Context(), d.cfg, mine)
	if !errors.Is(err, deploy.ErrInvalid) || !strings.Contains(err.Error(), "it was made from another template, as it has no parameter Days") {
		t.Error(err)
	}
	d.wantNothingLeft("s")
	if got := d.must(deploy.Run(t.Context(), d.cfg, deploy.Deployment{Stack: "s", Template: other})); got.Changed || got.StackID != made.StackID {
		t.Errorf("%+v", got)
	}
	mine.RefuseOthers = false
	if got := d.must(deploy.Run(t.Context(), d.cfg, mine)); got.Outputs["Group"] != "app" {
		t.Errorf("%+v", got)
	}
	mine.RefuseOthers, mine.Parameters = true, map[string]string{"Days": "30"}
	if got := d.must(deploy.Run(t.Context(), d.cfg, mine)); got.Outputs["Days"] != "30" {
		t.Errorf("%+v", got)
	}
}

func TestAFailureIsRolledBackAndSaysWhy(t *testing.T) {
	d := newDeployer(t)
	d.must(d.run(t.Context(), d.cfg, "s", "Name=taken"))
	_, err := d.run(t.Context(), d.cfg, "other", "Name=taken")
	if !errors.Is(err, deploy.ErrFailed) || !strings.Contains(err.Error(), "ROLLBACK_COMPLETE now: AWS::ECR::Repository Images: The repository with name 'taken' already exists") {
		t.Error(err)
	}
	_, err = d.run(t.Context(), d.cfg, "other", "Name=free")
	if !errors.Is(err, deploy.ErrInvalid) || !strings.Contains(err.Error(), `it is ROLLBACK_COMPLETE, so that it can only be deleted: do that in CloudFormation's console, or with "aws cloudformation delete-stack --stack-name other"`) {
		t.Error(err)
	}

	d.must(d.run(t.Context(), d.cfg, "third", "Name=third", "Days=5"))
	_, err = d.run(t.Context(), d.cfg, "third", "Name=taken", "Days=30")
	if !errors.Is(err, deploy.ErrFailed) || !strings.Contains(err.Error(), "UPDATE_ROLLBACK_COMPLETE now: AWS::") {
		t.Error(err)
	}
	d.wantNothingLeft("third")
	if got := d.must(d.run(t.Context(), d.cfg, "third")); got.Changed || got.Outputs["Days"] != "5" {
		t.Errorf("after the rollback: %+v", got)
	}
}

func TestAnUnusableStackIsMadeAnewOnDemand(t *testing.T) {
	d := newDeployer(t)
	d.must(d.run(t.Context(), d.cfg, "s", "Name=taken"))
	if _, err := d.run(t.Context(), d.cfg, "other", "Name=taken"); !errors.Is(err, deploy.ErrFailed) {
		t.Fatal(err)
	}
	again := deploy.Deployment{Stack: "other", Template: store, Parameters: map[string]string{"Name": "free"}, Recreate: true}
	if got := d.must(deploy.Run(t.Context(), d.cfg, again)); got.Outputs["Group"] != "free" {
		t.Errorf("%+v", got)
	}
}

func TestAnInterruptionBeforeTheDeploymentLeavesNothing(t *testing.T) {
	d := newDeployer(t)
	ctx, interrupt := context.WithCancel(t.Context())
	cfg := d.intercepted(func(input, _ any, _ error) {
		if _, ok := input.(*cloudformation.CreateChangeSetInput); ok {
			interrupt()
		}
	})
	_, err := d.run(ctx, cfg, "s", "Name=app")
	if !errors.Is(err, context.Canceled) || errors.Is(err, deploy.ErrGoesOn) {
		t.Error(err)
	}
	d.wantNothingLeft("s")
}

func TestAnInterruptedDeploymentGoesOnAndCanBeWaitedFor(t *testing.T) {
	d := newDeployer(t)
	ctx, interrupt := context.WithCancel(t.Context())
	cfg := d.intercepted(func(input, _ any, _ error) {
		if _, ok := input.(*cloudformation.ExecuteChangeSetInput); ok {
			interrupt()
		}
	})
	_, err := d.run(ctx, cfg, "s", "Name=app")
	if !errors.Is(err, context.Canceled) || !errors.Is(err, deploy.ErrGoesOn) {
		t.Error(err)
	}
	if got := d.must(d.run(t.Context(), d.cfg, "s")); got.Changed || got.Outputs["Group"] != "app" {
		t.Errorf("%+v", got)
	}
	if n := d.begun("s"); n != 1 {
		t.Errorf("%d deployments were begun", n)
	}
}

// The stack is at work when it is looked at first, as after an interruption on
// AWS.
func TestADeploymentThatIsAtWorkIsWaitedFor(t *testing.T) {
	d := newDeployer(t)
	d.must(d.run(t.Context(), d.cfg, "s", "Name=app"))
	looked := false
	cfg := d.intercepted(func(_, output any, _ error) {
		if out, ok := output.(*cloudformation.DescribeStacksOutput); ok && !looked {
			looked, out.Stacks[0].StackStatus = true, types.StackStatusCreateInProgress
		}
	})
	if got := d.must(d.run(t.Context(), cfg, "s", "Days=30")); !got.Changed || got.Outputs["Days"] != "30" {
		t.Errorf("%+v", got)
	}
	d.wantLine("the stack is CREATE_IN_PROGRESS: waiting until that is done")
	d.wantLine("CREATE_COMPLETE AWS::CloudFormation::Stack s")
	d.wantLine("UPDATE_COMPLETE AWS::Logs::LogGroup Logs")
}

// What CloudFormation finds wrong only after it has taken a change set.
func TestAChangeSetThatFailsLaterIsRefused(t *testing.T) {
	d := newDeployer(t)
	cfg := d.intercepted(func(_, output any, _ error) {
		switch out := output.(type) {
		case *cloudformation.DescribeChangeSetOutput:
			out.Status, out.StatusReason = types.ChangeSetStatusFailed, aws.String("The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck].")
		case *cloudformation.DescribeEventsOutput:
			out.OperationEvents = []types.OperationEvent{{LogicalResourceId: aws.String("Images"), ValidationStatusReason: aws.String("Resource of type 'AWS::ECR::Repository' with identifier 'app' already exists.")}}
		}
	})
	_, err := d.run(t.Context(), cfg, "s", "Name=app")
	if !errors.Is(err, deploy.ErrInvalid) || !strings.Contains(err.Error(), "ResourceExistenceCheck].; Images: Resource of type 'AWS::ECR::Repository' with identifier 'app' already exists.") {
		t.Error(err)
	}
	d.wantNothingLeft("s")
}

// A lost answer does nothing twice, and a call that hangs does not hang the
// deployment.
func TestFaultsOfTheNetworkDoNothingTwice(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			d := newDeployer(t, localtest.InMemory())
			faults := &localtest.Faults{Seed: seed, Throttled: 0.1, AnswerLost: 0.1, Stalled: 0.1, Failed: 0.05}
			began, succeeded, unknown := time.Now(), 0, 0
			for _, days := range []string{"5", "30", "60"} {
				result, err := d.run(t.Context(), faults.Config(d.cfg), "s", "Name=app", "Days="+days)
				switch {
				case err == nil && result.Outputs["Days"] != days:
					t.Errorf("seed %d: %+v", seed, result)
				case err == nil:
					succeeded++
				case errors.Is(err, deploy.ErrGoesOn):
					unknown++
				}
				d.settle("s")
				if !errors.Is(err, deploy.ErrGoesOn) && !strings.Contains(strings.Join(d.lines, "\n"), "is left behind") {
					d.wantNothingLeft("s")
				}
			}
			if n := d.begun("s"); n < succeeded || n > succeeded+unknown {
				t.Errorf("seed %d: %d deployments were begun, %d succeeded, and of %d it is not known", seed, n, succeeded, unknown)
			}
			if took := time.Since(began); took > time.Hour {
				t.Errorf("seed %d: it took %v", seed, took)
			}
		})
	}
}

// settle waits until nothing is at work on the stack.
func (d *deployer) settle(stack string) {
	d.Helper()
	for {
		status, err := deploy.Status(d.Context(), d.cfg, stack)
		if err != nil {
			d.Fatal(err)
		}
		if !strings.HasSuffix(string(status), "_IN_PROGRESS") || status == types.StackStatusReviewInProgress {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
