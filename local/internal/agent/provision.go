package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwltypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/local/internal/codebuild"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/logs"
)

// provision assumes the role, opens the log and makes the work folder.
func (b *build) provision(ctx context.Context) error {
	if err := b.assumeRole(); err != nil {
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
	b.release = append(b.release, func() {
		killAll(folder.source()) // they hold the output open
		b.output.close()
	})
	b.log.agent("Running on the flexbuild local engine%s", b.foreign())
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
	session, err := r.session()
	if err != nil {
		return &phaseError{"ACCESS_DENIED", fmt.Sprintf("CodeBuild is not authorized to perform: sts:AssumeRole on %s. Error message: %v", *b.document.ServiceRole, err)}
	}
	b.principal = session.Principal
	variables, remove := b.Credentials.add(r, b.Endpoint)
	b.variables = variables
	b.release = append(b.release, remove)
	return nil
}

// projectARN is what the role's trust policy sees as aws:SourceArn.
func (b *build) projectARN() string {
	arn, _, _ := strings.Cut(*b.document.Arn, ":build/")
	return arn + ":project/" + *b.document.ProjectName
}

// asRole is ctx with the build's role as the caller.
func (b *build) asRole(ctx context.Context) context.Context {
	return iam.WithPrincipal(ctx, b.principal)
}

// openLog creates the build's log stream under the role's permissions. Without
// them the build fails, as on AWS.
func (b *build) openLog(ctx context.Context) error {
	group, stream, enabled := codebuild.LogStream(b.document)
	keep := func(events []logs.Event) error { return b.Logs.Append(group, stream, events) }
	if !enabled {
		keep = nil
	} else if err := b.createStream(b.asRole(ctx), group, stream); err != nil {
		return &phaseError{"ACCESS_DENIED", fmt.Sprintf("Service role %s does not allow AWS CodeBuild to create "+
			"Amazon CloudWatch Logs log streams for build %s. Error message: %v", *b.document.ServiceRole, *b.document.Arn, err)}
	} else {
		b.record.Logs(group, stream)
	}
	b.log = newBuildLog(b.Clock, keep, func(err error) {
		b.Log.Error("lines of a build's log are lost", "build", *b.document.Id, "error", err)
	})
	b.release = append(b.release, b.log.close)
	return nil
}

func (b *build) createStream(ctx context.Context, group, stream string) error {
	arn := logs.GroupARN(b.Region, group)
	for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
		if err := b.IAM.Authorize(ctx, action, arn+":log-stream:"+stream); err != nil {
			return err
		}
	}
	create := func() error {
		_, err := b.Logs.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
		return err
	}
	err := create()
	if _, missing := errors.AsType[*cwltypes.ResourceNotFoundException](err); !missing {
		return err
	}
	// A project without a group of its own gets one, if its role may create it.
	if err := b.IAM.Authorize(ctx, "logs:CreateLogGroup", arn); err != nil {
		return err
	}
	if err := b.Logs.PutLogGroup(group, 0); err != nil {
		return err
	}
	return create()
}
