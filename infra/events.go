package infra

import "github.com/aws/aws-cdk-go/awscdk/v2/awsevents"

func (b *imageBuilder) OnBuildStateChange(id *string, options *awsevents.OnEventOptions) awsevents.Rule {
	return b.project.OnStateChange(id, options)
}

func (b *imageBuilder) OnBuildSucceeded(id *string, options *awsevents.OnEventOptions) awsevents.Rule {
	return b.project.OnBuildSucceeded(id, options)
}

func (b *imageBuilder) OnBuildFailed(id *string, options *awsevents.OnEventOptions) awsevents.Rule {
	return b.project.OnBuildFailed(id, options)
}
