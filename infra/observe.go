package infra

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

func (b *imageBuilder) Metric(name *string, options *awscloudwatch.MetricOptions) awscloudwatch.Metric {
	return b.project.Metric(name, options)
}

func (b *imageBuilder) MetricBuilds(options *awscloudwatch.MetricOptions) awscloudwatch.Metric {
	return b.project.MetricBuilds(options)
}

func (b *imageBuilder) MetricSucceededBuilds(options *awscloudwatch.MetricOptions) awscloudwatch.Metric {
	return b.project.MetricSucceededBuilds(options)
}

func (b *imageBuilder) MetricFailedBuilds(options *awscloudwatch.MetricOptions) awscloudwatch.Metric {
	return b.project.MetricFailedBuilds(options)
}

func (b *imageBuilder) MetricDuration(options *awscloudwatch.MetricOptions) awscloudwatch.Metric {
	return b.project.MetricDuration(options)
}

func (b *imageBuilder) MetricQueuedDuration(options *awscloudwatch.MetricOptions) awscloudwatch.Metric {
	return b.Metric(jsii.String("QueuedDuration"), options)
}

func (b *imageBuilder) AddDashboard(id *string) awscloudwatch.Dashboard {
	phase := func(name, label string) awscloudwatch.IMetric {
		return b.Metric(&name, average(label))
	}
	return awscloudwatch.NewDashboard(b, id, &awscloudwatch.DashboardProps{
		Widgets: &[]*[]awscloudwatch.IWidget{{
			graph("Builds", "builds", b.MetricSucceededBuilds(sum("succeeded")), b.MetricFailedBuilds(sum("failed"))),
			graph("Waiting in the queue", "seconds", b.MetricQueuedDuration(average("average")), b.MetricQueuedDuration(maximum("longest"))),
		}, {
			graph("Time by phase", "seconds",
				phase("ProvisioningDuration", "provisioning"), phase("DownloadSourceDuration", "source"),
				phase("BuildDuration", "build"), phase("PostBuildDuration", "post-build"), phase("FinalizingDuration", "finalizing")),
			graph("Whole builds", "seconds", b.MetricDuration(average("average")), b.MetricDuration(maximum("longest"))),
		}},
	})
}

// These return the options of metrics that are shown under a label.
func sum(label string) *awscloudwatch.MetricOptions     { return labelled(label, "Sum") }
func average(label string) *awscloudwatch.MetricOptions { return labelled(label, "Average") }
func maximum(label string) *awscloudwatch.MetricOptions { return labelled(label, "Maximum") }

func labelled(label, statistic string) *awscloudwatch.MetricOptions {
	return &awscloudwatch.MetricOptions{
		Statistic: &statistic,
		Label:     &label,
		Period:    awscdk.Duration_Minutes(jsii.Number(5)),
	}
}

func graph(title, unit string, metrics ...awscloudwatch.IMetric) awscloudwatch.IWidget {
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title:     jsii.String(title),
		Width:     jsii.Number(12),
		Left:      &metrics,
		LeftYAxis: &awscloudwatch.YAxisProps{Label: jsii.String(unit), ShowUnits: jsii.Bool(false), Min: jsii.Number(0)},
	})
}

func (b *imageBuilder) AlarmOnFailures(id *string, percent float64) awscloudwatch.Alarm {
	if percent <= 0 || percent >= 100 {
		panic(problem("AlarmOnFailures", "%v: give a percentage between 0 and 100", percent))
	}
	rate := awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		// A metric for which nothing was counted has no value, instead of zero.
		Expression: jsii.String("100 * FILL(failed, 0) / (FILL(failed, 0) + FILL(succeeded, 0))"),
		Label:      jsii.String("builds that failed, in percent"),
		Period:     awscdk.Duration_Minutes(jsii.Number(60)),
		UsingMetrics: &map[string]awscloudwatch.IMetric{
			"failed":    b.MetricFailedBuilds(sum("failed")),
			"succeeded": b.MetricSucceededBuilds(sum("succeeded")),
		},
	})
	return b.alarm(id, rate, percent, "Too many image builds fail")
}

func (b *imageBuilder) AlarmOnQueueTime(id *string, longest awscdk.Duration) awscloudwatch.Alarm {
	if longest == nil || *longest.ToSeconds(fraction) < 1 {
		panic(problem("AlarmOnQueueTime", "no duration, or none that a build could wait: give one such as half an hour"))
	}
	return b.alarm(id, b.MetricQueuedDuration(maximum("longest wait")), *longest.ToSeconds(fraction), "Image builds wait too long to start")
}

// alarm adds an alarm for which hours without builds are good ones.
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
