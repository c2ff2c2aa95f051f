package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

const alarmType = "AWS::CloudWatch::Alarm"

func TestDashboardAndAlarmsWatchTheProject(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AddDashboard(jsii.String("Dashboard"))
		builder.AlarmOnFailures(jsii.String("Failures"), 20)
		builder.AlarmOnQueueTime(jsii.String("Queue"), minutes(30))
	})
	board := compact(tpl.the(t, "AWS::CloudWatch::Dashboard", "").at("Properties.DashboardBody"))
	for _, want := range []string{"FailedBuilds", "SucceededBuilds", "QueuedDuration", "BuildDuration", "Whole builds"} {
		if !strings.Contains(board, want) {
			t.Errorf("the dashboard shows no %s", want)
		}
	}
	check(t, tpl, []want{
		{alarmType, "Failures", "Properties.Threshold", `20`},
		{alarmType, "Failures", "Properties.TreatMissingData", `"notBreaching"`},
		{alarmType, "Queue", "Properties.Threshold", `1800`},
		{alarmType, "Queue", "Properties.Metrics.0.MetricStat.Metric.MetricName", `"QueuedDuration"`},
		{alarmType, "Queue", "Properties.Metrics.0.MetricStat.Metric.Dimensions", `[{"Name":"ProjectName","Value":{"Ref":"BuilderProject27328D1D"}}]`},
	})
}

func TestAlarmsRefuseWhatIsNoThreshold(t *testing.T) {
	synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		for want, add := range map[string]func(){
			"AlarmOnFailures: 100: give a percentage": func() { builder.AlarmOnFailures(jsii.String("A"), 100) },
			"AlarmOnQueueTime: no duration":           func() { builder.AlarmOnQueueTime(jsii.String("B"), minutes(0)) },
			"AlarmOnQueueTime: no duration, or":       func() { builder.AlarmOnQueueTime(jsii.String("C"), nil) },
		} {
			if message := panicOf(add); !strings.Contains(message, want) {
				t.Errorf("panic: %q, want %q", message, want)
			}
		}
	})
}

func TestMetricsAreThoseOfTheProject(t *testing.T) {
	type metric = awscloudwatch.Metric
	for want, of := range map[string]func(infra.IImageBuilder, *awscloudwatch.MetricOptions) metric{
		"Builds Sum":             infra.IImageBuilder.MetricBuilds,
		"SucceededBuilds Sum":    infra.IImageBuilder.MetricSucceededBuilds,
		"FailedBuilds Sum":       infra.IImageBuilder.MetricFailedBuilds,
		"Duration Average":       infra.IImageBuilder.MetricDuration,
		"QueuedDuration Average": infra.IImageBuilder.MetricQueuedDuration,
		"BuildDuration Average": func(b infra.IImageBuilder, options *awscloudwatch.MetricOptions) metric {
			return b.Metric(jsii.String("BuildDuration"), options)
		},
	} {
		synthesizeStack(t, nil, func(stack awscdk.Stack) {
			for _, builder := range []infra.IImageBuilder{
				infra.NewImageBuilder(stack, jsii.String("Builder"), &infra.ImageBuilderProps{ProjectName: jsii.String("flexbuild")}),
				infra.FromAttributes(stack, jsii.String("Imported"), deployed()),
			} {
				m := of(builder, nil)
				if got := *m.Namespace() + " " + *m.MetricName() + " " + *m.Statistic(); got != "AWS/CodeBuild "+want {
					t.Errorf("the metric is %s, want %s", got, want)
				}
				project := (*m.Dimensions())["ProjectName"]
				if got := text(stack.Resolve(project)); got != "flexbuild" && got != "${Project}" {
					t.Errorf("%s: of the project %q", want, got)
				}
				changed := of(builder, &awscloudwatch.MetricOptions{Statistic: jsii.String("p90"), Period: awscdk.Duration_Hours(jsii.Number(1))})
				if *changed.Statistic() != "p90" || *changed.Period().ToMinutes(nil) != 60 {
					t.Errorf("%s: the options have no effect", want)
				}
			}
		})
	}
}
