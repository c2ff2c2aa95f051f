package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

func (b *imageBuilder) AddDashboard(id *string) awscloudwatch.Dashboard {
	return awscloudwatch.NewDashboard(b, id, &awscloudwatch.DashboardProps{
		Widgets: &[]*[]awscloudwatch.IWidget{{
			graph("Builds", "builds",
				b.metric("SucceededBuilds", "Sum", "succeeded"), b.metric("FailedBuilds", "Sum", "failed")),
			graph("Waiting in the queue", "seconds",
				b.metric("QueuedDuration", "Average", "average"), b.metric("QueuedDuration", "Maximum", "longest")),
		}, {
			graph("Time by phase", "seconds",
				b.metric("ProvisioningDuration", "Average", "provisioning"),
				b.metric("DownloadSourceDuration", "Average", "source"),
				b.metric("BuildDuration", "Average", "build"),
				b.metric("PostBuildDuration", "Average", "post-build"),
				b.metric("FinalizingDuration", "Average", "finalizing")),
			graph("Whole builds", "seconds",
				b.metric("Duration", "Average", "average"), b.metric("Duration", "Maximum", "longest")),
		}},
	})
}

func graph(title, unit string, metrics ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title:     jsii.String(title),
		Width:     jsii.Number(12),
		Left:      &metrics,
		LeftYAxis: &awscloudwatch.YAxisProps{Label: jsii.String(unit), ShowUnits: jsii.Bool(false), Min: jsii.Number(0)},
	})
}

// metric is one of CodeBuild's metrics of the project, over five minutes.
func (b *imageBuilder) metric(name, statistic, label string) awscloudwatch.IMetric {
	return b.project.Metric(jsii.String(name), &awscloudwatch.MetricOptions{
		Statistic: jsii.String(statistic),
		Label:     jsii.String(label),
		Period:    awscdk.Duration_Minutes(jsii.Number(5)),
	})
}

func (b *imageBuilder) AlarmOnFailures(id *string, percent float64) awscloudwatch.Alarm {
	if percent <= 0 || percent >= 100 {
		panic(problem("AlarmOnFailures", "%v: give a percentage between 0 and 100", percent))
	}
	rate := awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		// A metric that nothing was counted for has no value, not zero.
		Expression: jsii.String("100 * FILL(failed, 0) / (FILL(failed, 0) + FILL(succeeded, 0))"),
		Label:      jsii.String("builds that failed, in percent"),
		Period:     awscdk.Duration_Minutes(jsii.Number(60)),
		UsingMetrics: &map[string]awscloudwatch.IMetric{
			"failed":    b.metric("FailedBuilds", "Sum", "failed"),
			"succeeded": b.metric("SucceededBuilds", "Sum", "succeeded"),
		},
	})
	return b.alarm(id, rate, percent, "Too many image builds fail")
}

func (b *imageBuilder) AlarmOnQueueTime(id *string, minutes float64) awscloudwatch.Alarm {
	if minutes <= 0 {
		panic(problem("AlarmOnQueueTime", "%v: give a number of minutes above 0", minutes))
	}
	return b.alarm(id, b.metric("QueuedDuration", "Maximum", "longest wait"), 60*minutes, "Image builds wait too long to start")
}

// alarm takes hours without builds as good ones.
func (b *imageBuilder) alarm(id *string, metric awscloudwatch.IMetric, threshold float64, description string) awscloudwatch.Alarm {
	return awscloudwatch.NewAlarm(b, id, &awscloudwatch.AlarmProps{
		AlarmDescription:   jsii.String(description),
		Metric:             metric,
		Threshold:          jsii.Number(threshold),
		EvaluationPeriods:  jsii.Number(1),
		ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
	})
}
