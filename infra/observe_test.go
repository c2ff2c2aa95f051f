package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/codebuild-flex/flexbuild/infra"
)

const alarmType = "AWS::CloudWatch::Alarm"

func TestDashboardAndAlarmsWatchTheProject(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AddDashboard(jsii.String("Dashboard"))
		builder.AlarmOnFailures(jsii.String("Failures"), 20)
		builder.AlarmOnQueueTime(jsii.String("Queue"), 30)
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
			"AlarmOnQueueTime: 0: give a number":      func() { builder.AlarmOnQueueTime(jsii.String("B"), 0) },
		} {
			if message := panicOf(add); !strings.Contains(message, want) {
				t.Errorf("panic: %q, want %q", message, want)
			}
		}
	})
}
