package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwltypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
)

// provision assumes the role, asks for the network, opens the log and makes the
// work folder.
func (b *build) provision(ctx context.Context) error {
	if err := b.assumeRole(); err != nil {
		return err
	}
	if err := b.joinNetwork(ctx); err != nil {
		return err
	}
	if err := b.openLog(ctx); err != nil {
		return err
	}
	folder, err := newWorkFolder(b.Dir)
	if err != nil {
		return err
	}
	b.folder = folder
	b.release = append(b.release, func() {
		if err := folder.remove(); err != nil {
			b.Log.Error("a build left files behind", "build", *b.document.Id, "error", err)
		}
	})
	b.output, err = newOutput(b.log)
	if err != nil {
		return err
	}
	b.release = append(b.release, b.output.close)
	b.supervised, err = supervise(folder, b.output.write)
	if err != nil {
		return err
	}
	b.release = append(b.release, b.supervised.close) // before that of the output, which processes hold open
	b.log.agent("Waiting for agent ping")
	b.log.agent("Waiting for DOWNLOAD_SOURCE")
	return nil
}

// architectures are what AWS's machines are, by environment type.
var architectures = map[types.EnvironmentType]string{
	types.EnvironmentTypeLinuxContainer: "amd64",
	types.EnvironmentTypeArmContainer:   "arm64",
}

// foreign says when the build would be for another architecture on AWS: here
// all run natively.
func (b *build) foreign() string {
	kind := b.document.Environment.Type
	if architectures[kind] == b.Arch {
		return ""
	}
	return fmt.Sprintf(", which is %s: on AWS the project's %s is %s. Commands run natively, and images are linux/%s unless PLATFORMS says otherwise",
		b.Arch, kind, architectures[kind], b.Arch)
}

// assumeRole makes the build act as its role, and serves the role's credentials
// to its commands.
func (b *build) assumeRole() error {
	_, uuid, _ := strings.Cut(*b.document.Id, ":")
	assume := func() (iam.Session, error) {
		return b.IAM.AssumeRole(iam.Assumption{
			RoleARN:   *b.document.ServiceRole,
			Session:   "AWSCodeBuild-" + uuid,
			Service:   iam.CodeBuild,
			SourceARN: b.projectARN(),
			TTL:       credentialsLife,
		})
	}
	r := &role{clock: b.Clock, assume: assume}
	if _, err := r.session(); err != nil {
		return &phaseError{"ACCESS_DENIED", fmt.Sprintf("CodeBuild is not authorized to perform: sts:AssumeRole on %s. Error message: %v", *b.document.ServiceRole, err)}
	}
	b.role, b.clients = r, newClients(b.AWS, r)
	variables, remove := b.Credentials.add(r, *b.AWS.BaseEndpoint)
	b.variables = variables
	b.release = append(b.release, remove)
	return nil
}

// projectARN is what the role's trust policy sees as aws:SourceArn.
func (b *build) projectARN() string {
	arn, _, _ := strings.Cut(*b.document.Arn, ":build/")
	return arn + ":project/" + *b.document.ProjectName
}

// openLog creates the build's log stream and writes the first line. If the role
// may not, the build fails, as on AWS.
func (b *build) openLog(ctx context.Context) error {
	group, stream, enabled := codebuild.LogStream(b.document)
	var keep func([]cwltypes.InputLogEvent) error
	if enabled {
		keep = func(events []cwltypes.InputLogEvent) error {
			return b.putEvents(context.WithoutCancel(ctx), group, stream, events) // a stopped build has a log too
		}
		if err := b.beginLog(ctx, group, stream, keep); err != nil {
			return &phaseError{"ACCESS_DENIED", fmt.Sprintf("Service role %s does not allow AWS CodeBuild to create "+
				"Amazon CloudWatch Logs log streams for build %s. Error message: %s", *b.document.ServiceRole, *b.document.Arn, answered(err))}
		}
		b.record.Logs(group, stream)
	}
	b.log = newBuildLog(b.Clock, keep, func(err error) {
		b.Log.Error("lines of a build's log are lost", "build", *b.document.Id, "error", err)
	})
	b.release = append(b.release, b.closeLog)
	return nil
}

// closeLog ends the log. If the log has a hole, the last phase says so, because
// the log itself may not be able to.
func (b *build) closeLog() {
	b.log.close()
	if err := b.log.hole(); err != nil {
		b.record.AddContext(types.PhaseContext{StatusCode: aws.String("LOG_INCOMPLETE"), Message: aws.String(err.Error())})
	}
}

func (b *build) beginLog(ctx context.Context, group, stream string, keep func([]cwltypes.InputLogEvent) error) error {
	err := b.createStream(ctx, group, stream)
	if _, missing := errors.AsType[*cwltypes.ResourceNotFoundException](err); missing {
		// A project without a group of its own gets one, if its role may create it.
		if _, err = b.clients.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err == nil {
			err = b.createStream(ctx, group, stream)
		}
	}
	if err != nil {
		return err
	}
	now := b.Clock.Now()
	return keep([]cwltypes.InputLogEvent{event(now, header(now)+"Running on the flexbuild local engine"+b.outside()+b.foreign()+"\n")})
}

func (b *build) createStream(ctx context.Context, group, stream string) error {
	_, err := b.clients.logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
	return err
}

func (b *build) putEvents(ctx context.Context, group, stream string, events []cwltypes.InputLogEvent) error {
	out, err := b.clients.logs.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events})
	if err == nil && out.RejectedLogEventsInfo != nil {
		err = errors.New("the log refuses events because the engine's clock was set to another time")
	}
	return err
}
