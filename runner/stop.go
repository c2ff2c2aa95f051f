package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
)

// stopPatience is how long stopping a build is tried.
const stopPatience = 2 * time.Minute

// stopBackoff is the longest pause between two attempts to stop.
const stopBackoff = 10 * time.Second

// Stop asks CodeBuild to stop the build. It repeats the call until it succeeds,
// the context ends, or nothing has succeeded for 2 minutes. It does not wait
// for the build's end: see [Build.Wait]. Stopping a build that has ended
// changes nothing and is not an error.
func (b *Build) Stop(ctx context.Context) error {
	began, wait := time.Now(), newBackoff(stopBackoff)
	for {
		err := b.client.calls.once(ctx, "StopBuild", func(ctx context.Context) error {
			_, err := b.client.builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &b.id})
			return err
		})
		notYet := hasCode(err, "ResourceNotFoundException")
		switch {
		case err == nil:
			return nil
		case notYet && time.Since(began) >= b.grace():
			return notFound(b.id)
		case !notYet && !isTransient(err), ctx.Err() != nil, time.Since(began) >= stopPatience:
			return explain("stop build "+b.id, err)
		}
		if ctxErr := sleep(ctx, wait.next()); ctxErr != nil {
			return fmt.Errorf("%w: %w", ctxErr, explain("stop build "+b.id, err))
		}
	}
}
