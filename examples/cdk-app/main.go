// Command cdk-app is a CDK app of somebody's own that imports flexbuild's image
// builder into its stack, next to what else that stack has:
//
//	npx aws-cdk@2.1148.1 bootstrap # once for an account and region
//	npx aws-cdk@2.1148.1 deploy
//	flexbuild build --stack platform https://github.com/org/repo.git -t team/api:1
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/buildspec"
	"github.com/codebuild-flex/flexbuild/infra"
)

func main() {
	defer jsii.Close()
	app := awscdk.NewApp(nil)
	newPlatform(app, "platform")
	app.Synth(nil)
}

// newPlatform adds a stack in which a team builds its images and writes down
// what it built, and one image is built again each week.
func newPlatform(scope constructs.Construct, name string) awscdk.Stack {
	stack := awscdk.NewStack(scope, jsii.String(name), nil)
	releases := awss3.NewBucket(stack, jsii.String("Releases"), &awss3.BucketProps{
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		EnforceSSL:        jsii.Bool(true),
	})
	builder := infra.NewImageBuilder(stack, jsii.String("Images"), &infra.ImageBuilderProps{
		ProjectName:  jsii.String("team-images"),
		Repositories: jsii.Strings("team/api", "team/web"),
	})

	team := newTeam(stack)
	builder.GrantStart(team, &infra.StartLimits{
		Repositories:   jsii.Strings("team/*"),
		Team:           jsii.String("team"),
		MaxComputeType: awscodebuild.ComputeType_MEDIUM,
	})
	builder.GrantPull(team)
	releases.GrantPut(team, nil)
	addRebuild(builder)
	return stack
}

// newTeam makes the role of a team, which people and jobs of this account
// assume.
func newTeam(stack awscdk.Stack) awsiam.Role {
	team := awsiam.NewRole(stack, jsii.String("Team"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewAccountRootPrincipal(),
	})
	awscdk.NewCfnOutput(stack, jsii.String("TeamRoleArn"), &awscdk.CfnOutputProps{
		Value: team.RoleArn(), Description: jsii.String("The role that builds the team's images"),
	})
	return team
}

// addRebuild builds the API's image again each Monday, for what its base image
// has mended.
func addRebuild(builder infra.ImageBuilder) {
	mondays := awsscheduler.ScheduleExpression_Cron(&awsscheduler.CronOptionsWithTimezone{
		WeekDay: jsii.String("MON"), Hour: jsii.String("4"), Minute: jsii.String("0"),
		TimeZone: awscdk.TimeZone_EUROPE_BERLIN(),
	})
	builder.RebuildOn(jsii.String("Weekly"), mondays, &infra.RebuildRequest{Params: buildspec.Params{
		Tags:   []string{"team/api:weekly"},
		GitURL: "https://github.com/org/repo.git",
	}})
}
