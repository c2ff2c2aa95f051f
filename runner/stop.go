package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
)

// stopPatience bounds the stopping of a build whose caller has gone.
const stopPatience = 2 * time.Minute

// A build that was started this moment may not be found yet, and a service that
// does not answer may answer soon: stopping is tried again, for money is at stake.
const (
	stopRetryMin = time.Second
	stopRetryMax = 10 * time.Second
)

// Stop asks CodeBuild to stop the build, again and again until the call goes
// through or the context ends. It does not wait for the build's end: see
// [Build.Wait]. A build that has ended stays as it is, and that is no error.
func (b *Build) Stop(ctx context.Context) error {
	clock := b.client.clock
	began := clock.Now()
	for wait := stopRetryMin; ; wait = min(2*wait, stopRetryMax) {
		err := b.stopOnce(ctx)
		notYet := hasCode(err, "ResourceNotFoundException")
		switch {
		case err == nil:
			return nil
		case notYet && clock.Since(began) >= b.grace:
			return notFound(b.id)
		case !notYet && !isTransient(err) || ctx.Err() != nil:
			return explain("stop build "+b.id, err)
		}
		if ctxErr := sleep(ctx, clock, wait); ctxErr != nil {
			return fmt.Errorf("%w: %w", ctxErr, explain("stop build "+b.id, err))
		}
	}
}

func (b *Build) stopOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := b.client.builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &b.id})
	return err
}
