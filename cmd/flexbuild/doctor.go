package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/spf13/cobra"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local"
	"github.com/codebuild-flex/flexbuild/runner"
)

func newDoctor(t *target) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what builds need, and say what to do",
		Long: `Check the settings, the credentials, the clock, the stack and its contract, what
the caller may do, and how many builds the account may run at once, with calls that
change nothing. StartBuild, StopBuild and
the upload are therefore not tried. The exit code is 5 if something is missing.
The output names accounts and roles, and no secrets.`,
		Example: `  flexbuild doctor
  flexbuild doctor --local --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{target: t}
			d.examine(cmd.Context())
			if err := d.print(cmd, json); err != nil {
				return err
			}
			return d.err()
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print one JSON object")
	return cmd
}

// finding is the result of one check.
type finding struct {
	Name   string `json:"name"`
	Status string `json:"status"` // ok, note or missing
	Detail string `json:"detail"`
}

// doctorJSON is the JSON of all checks.
type doctorJSON struct {
	Version  string    `json:"version"`
	Contract string    `json:"contract"`
	Checks   []finding `json:"checks"`
}

// doctor checks what builds need. Each check needs the ones before it.
type doctor struct {
	*target
	findings []finding
}

func (d *doctor) ok(name, format string, args ...any) {
	d.findings = append(d.findings, finding{name, "ok", fmt.Sprintf(format, args...)})
}

func (d *doctor) note(name, format string, args ...any) {
	d.findings = append(d.findings, finding{name, "note", fmt.Sprintf(format, args...)})
}

func (d *doctor) missing(name string, err error) {
	d.findings = append(d.findings, finding{name, "missing", strings.Join(strings.Fields(err.Error()), " ")})
}

func (d *doctor) examine(ctx context.Context) {
	d.ok("version", "%s", versionText())
	d.builder(ctx)
	cfg, err := d.config(ctx)
	if err != nil {
		d.missing("settings", err)
		return
	}
	d.ok("settings", "stack %s in %s%s", d.stack, cfg.Region, endpointWords(cfg))
	if !d.credentials(ctx, cfg) {
		return
	}
	client, err := d.client(ctx)
	if err != nil {
		d.missing("stack", err)
		return
	}
	d.ok("stack", "project %s, registry %s, contract %s", client.Stack().ProjectName, client.Stack().Registry, buildspec.Version)
	d.permissions(ctx, client.Stack())
	d.quotas(ctx, client.Stack())
}

func endpointWords(cfg aws.Config) string {
	if cfg.BaseEndpoint == nil {
		return ""
	}
	return " at " + *cfg.BaseEndpoint
}

// builder looks for what a local engine builds with. Builds on AWS do not need
// it.
func (d *doctor) builder(ctx context.Context) {
	err := local.CheckBuilder(ctx)
	switch {
	case err == nil:
		d.ok("local builder", "this machine can build containers for the local engine")
	case d.local:
		d.missing("local builder", err)
	default:
		d.note("local builder", "only the local engine needs it: %v", err)
	}
}

// maxSkew is how far the clock may be off before AWS refuses signatures.
const maxSkew = 5 * time.Minute

// credentials checks who the caller is, and compares the clocks. It reports
// whether AWS takes the credentials.
func (d *doctor) credentials(ctx context.Context, cfg aws.Config) bool {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	d.clock(out, err)
	if err != nil {
		d.missing("credentials", fmt.Errorf("%w: check the profile (AWS_PROFILE, \"aws sso login\") or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the network: %w", runner.ErrCredentials, err))
		return false
	}
	d.ok("credentials", "%s", aws.ToString(out.Arn))
	return true
}

// clock compares this machine's clock with the service's, also if the service
// refuses the call.
func (d *doctor) clock(out *sts.GetCallerIdentityOutput, err error) {
	var skew time.Duration
	var refused *smithyhttp.ResponseError
	switch {
	case err == nil:
		server, known := awsmiddleware.GetServerTime(out.ResultMetadata)
		if !known {
			return
		}
		skew = time.Since(server)
	case errors.As(err, &refused) && refused.Response != nil:
		server, parseErr := http.ParseTime(refused.Response.Header.Get("Date"))
		if parseErr != nil {
			return
		}
		skew = time.Since(server)
	default:
		return
	}
	if skew = skew.Round(time.Second); skew.Abs() > maxSkew {
		d.missing("clock", fmt.Errorf("this machine's clock is %v away from the service's, which refuses signatures then: set it", skew))
		return
	}
	d.ok("clock", "within %v of the service's", max(skew.Abs(), time.Second))
}

// permissions makes the calls of the runner that change nothing.
func (d *doctor) permissions(ctx context.Context, stack runner.Stack) {
	builds, events := codebuild.NewFromConfig(d.cfg), cloudwatchlogs.NewFromConfig(d.cfg)
	var ids []string
	d.call("codebuild:ListBuildsForProject", func() error {
		page, err := builds.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{ProjectName: &stack.ProjectName, SortOrder: types.SortOrderTypeDescending})
		if err == nil {
			ids = page.Ids
		}
		return err
	})
	d.call("codebuild:BatchGetBuilds", func() error {
		ask := ids
		if len(ask) == 0 {
			ask = []string{stack.ProjectName + ":00000000-0000-0000-0000-000000000000"}
		}
		found, err := builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: ask})
		if err == nil {
			d.running(found.Builds)
		}
		return err
	})
	d.call("logs:GetLogEvents", func() error {
		_, err := events.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: &stack.LogGroupName, LogStreamName: aws.String("flexbuild-doctor")})
		return unlessNotFound(err)
	})
	d.call("logs:FilterLogEvents", func() error {
		_, err := events.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &stack.LogGroupName, LogStreamNames: []string{"flexbuild-doctor"}, Limit: aws.Int32(1)})
		return unlessNotFound(err)
	})
	d.call("s3:ListBucket", func() error {
		_, err := s3.NewFromConfig(d.cfg).ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &stack.SourceBucketName, Prefix: &stack.SourcePrefix, MaxKeys: aws.Int32(1)})
		return err
	})
}

// unlessNotFound returns no error for a stream that does not exist, because the
// caller may read it then.
func unlessNotFound(err error) error {
	var notFound *logtypes.ResourceNotFoundException
	if errors.As(err, &notFound) {
		return nil
	}
	return err
}

func (d *doctor) call(action string, call func() error) {
	if err := call(); err != nil {
		d.missing(action, fmt.Errorf("let the caller's role do this; the construct's GrantStart allows all that is needed: %w", err))
		return
	}
	d.ok(action, "allowed")
}

// running counts the builds that take room of the quota.
func (d *doctor) running(builds []types.Build) {
	count := 0
	for _, build := range builds {
		if build.BuildStatus == types.StatusTypeInProgress {
			count++
		}
	}
	d.ok("builds", "%d of the last %d are queued or running", count, len(builds))
}

func (d *doctor) print(cmd *cobra.Command, json bool) error {
	if json {
		return printJSON(cmd.OutOrStdout(), doctorJSON{version(), buildspec.Version, d.findings})
	}
	for _, f := range d.findings {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-8s %s: %s\n", f.Status, f.Name, f.Detail); err != nil {
			return err
		}
	}
	return nil
}

// err returns an error if something is missing.
func (d *doctor) err() error {
	var names []string
	for _, f := range d.findings {
		if f.Status == "missing" {
			names = append(names, f.Name)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("not ready for builds: %s", strings.Join(names, ", "))
	}
	return nil
}
