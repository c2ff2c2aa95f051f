package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/jsii-runtime-go"
)

func (b *imageBuilder) OnBuildStateChange(id *string, options *awsevents.OnEventOptions) awsevents.Rule {
	return b.project.OnStateChange(id, options)
}

func (b *imageBuilder) OnBuildSucceeded(id *string, options *awsevents.OnEventOptions) awsevents.Rule {
	return b.onStatus(id, options, "SUCCEEDED")
}

// OnBuildFailed matches FAULT and TIMED_OUT too, although CodeBuild documents
// only FAILED for the events of such builds.
func (b *imageBuilder) OnBuildFailed(id *string, options *awsevents.OnEventOptions) awsevents.Rule {
	return b.onStatus(id, options, "FAILED", "FAULT", "TIMED_OUT")
}

func (b *imageBuilder) OnBuildStopped(id *string, options *awsevents.OnEventOptions) awsevents.Rule {
	return b.onStatus(id, options, "STOPPED")
}

func (b *imageBuilder) onStatus(id *string, options *awsevents.OnEventOptions, statuses ...string) awsevents.Rule {
	rule := b.project.OnStateChange(id, options)
	rule.AddEventPattern(&awsevents.EventPattern{
		Detail: &map[string]any{"build-status": jsii.Strings(statuses...)},
	})
	return rule
}
