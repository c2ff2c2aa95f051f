package fleetbench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/local/localtest"
)

const (
	shortest = time.Minute
	longest  = 10 * time.Minute

	// Every failsEvery-th build fails.
	failsEvery = 50
)

// fleet is a number of builds that start together.
type fleet struct {
	plans     []plan
	lineEvery time.Duration
}

// plan is what a build will do.
type plan struct {
	takes time.Duration
	lines int
	fails bool
}

// newFleet plans n builds of one to ten minutes. Each of them writes a line to
// its log every so often.
func newFleet(n int, lineEvery time.Duration, seed uint64) *fleet {
	random := rand.New(rand.NewPCG(uint64(n), seed))
	f := &fleet{plans: make([]plan, n), lineEvery: lineEvery}
	for i := range f.plans {
		takes := shortest + time.Duration(random.Int64N(int64(longest-shortest)))
		f.plans[i] = plan{takes: takes, lines: int(takes / lineEvery), fails: i%failsEvery == failsEvery/2}
	}
	return f
}

// build returns the inside of a simulated build. Its number is the image's tag.
func (f *fleet) build(b *localtest.Build) error {
	_, tag, _ := strings.Cut(b.Environment["TAG"], ":")
	number, err := strconv.Atoi(tag)
	if err != nil {
		return err
	}
	p := f.plans[number]
	for line := range p.lines {
		if err := sleep(b.Context(), f.lineEvery); err != nil {
			return err
		}
		b.Log(fmt.Sprintf("line %d", line))
	}
	if err := sleep(b.Context(), p.takes-time.Duration(p.lines)*f.lineEvery); err != nil {
		return err
	}
	if p.fails {
		return localtest.ExitStatus(1)
	}
	b.ExportImage()
	return nil
}

// start starts all builds and returns their ids in the order of the plans.
func (f *fleet) start(ctx context.Context, cfg aws.Config) (ids []string, err error) {
	api := codebuild.NewFromConfig(cfg)
	for i := range f.plans {
		out, err := api.StartBuild(ctx, &codebuild.StartBuildInput{
			ProjectName:        aws.String(buildspec.StackName),
			SourceTypeOverride: types.SourceTypeNoSource,
			EnvironmentVariablesOverride: []types.EnvironmentVariable{
				{Name: aws.String("TAG"), Value: aws.String(fmt.Sprintf("app:%d", i))},
			},
		})
		if err != nil {
			return nil, fmt.Errorf("start build %d: %w", i, err)
		}
		ids = append(ids, *out.Build.Id)
	}
	return ids, nil
}
