package resources

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// A recordedProvider is of a type that watches builds or notifies of them, and
// that no build needs: a stack may have it, references to it resolve, and it
// does nothing. The stack's events say so, for whoever deploys to read.
type recordedProvider struct {
	why        string // it does nothing
	named      string // the property that names the resource, if one does
	properties map[string]Property
	// arn is the form of its ARN; attributes say how Fn::GetAtt follows from
	// that.
	arn        string
	attributes map[string]func(arn string) string
	refIsARN   bool // Ref gives the ARN, not the name
	services   Services
}

func (p recordedProvider) Schema() Schema {
	return Schema{
		Properties: p.properties,
		Attributes: slices.Sorted(maps.Keys(p.attributes)),
	}
}

func (p recordedProvider) Create(ctx context.Context, r Request) (Resource, error) {
	id := r.Name(p.named, 128)
	if p.refIsARN {
		id = p.arnOf(id)
	}
	return p.Update(ctx, r, id)
}

func (p recordedProvider) Update(_ context.Context, _ Request, id string) (Resource, error) {
	arn := id
	if !p.refIsARN {
		arn = p.arnOf(id)
	}
	made := Resource{PhysicalID: id, Attributes: map[string]any{}, Note: "The local engine records it only: " + p.why}
	for name, value := range p.attributes {
		made.Attributes[name] = value(arn)
	}
	return made, nil
}

func (p recordedProvider) arnOf(name string) string {
	return strings.NewReplacer("REGION", p.services.Region, "ACCOUNT", p.services.AccountID, "NAME", name).Replace(p.arn)
}

func (recordedProvider) Delete(context.Context, Request, string) error { return nil }

// What attributes give of an ARN.
func wholeARN(arn string) string { return arn }
func lastOfARN(arn string) string {
	return arn[strings.LastIndexAny(arn, ":/")+1:]
}

// objects is a list of objects that the engine only keeps.
var objects = Property{Kind: List, Items: &Property{Kind: JSON}}

// recorded are the types that are recorded only.
var recorded = map[string]recordedProvider{
	"AWS::CloudWatch::Alarm": {
		why:        "there are no metrics here, so it never goes off.",
		named:      "AlarmName",
		arn:        "arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
		attributes: map[string]func(string) string{"Arn": wholeARN},
		properties: map[string]Property{
			"ActionsEnabled": {Kind: Boolean}, "AlarmActions": {Kind: List}, "AlarmDescription": {}, "AlarmName": {CreateOnly: true},
			"ComparisonOperator": {Required: true}, "DatapointsToAlarm": {Kind: Integer}, "Dimensions": objects,
			"EvaluateLowSampleCountPercentile": {}, "EvaluationPeriods": {Kind: Integer}, "ExtendedStatistic": {},
			"InsufficientDataActions": {Kind: List}, "MetricName": {}, "Metrics": objects, "Namespace": {}, "OKActions": {Kind: List},
			"Period": {Kind: Integer}, "Statistic": {}, "Tags": tagList, "Threshold": {}, "ThresholdMetricId": {}, "TreatMissingData": {}, "Unit": {},
		},
	},
	"AWS::CloudWatch::Dashboard": {
		why:        "there are no metrics here, and nothing to show it.",
		named:      "DashboardName",
		properties: map[string]Property{"DashboardBody": {Required: true}, "DashboardName": {CreateOnly: true}},
	},
	"AWS::EC2::SecurityGroup": {
		why:        "there is no VPC here, and builds use this machine's network.",
		arn:        "sg-NAME",
		refIsARN:   true,
		attributes: map[string]func(string) string{"GroupId": wholeARN, "Id": wholeARN},
		properties: map[string]Property{
			"GroupDescription": {Required: true}, "GroupName": {CreateOnly: true}, "SecurityGroupEgress": objects, "SecurityGroupIngress": objects,
			"Tags": tagList, "VpcId": {CreateOnly: true},
		},
	},
	"AWS::Events::Rule": {
		why:        "there is no event bus here, so it never matches.",
		named:      "Name",
		arn:        "arn:aws:events:REGION:ACCOUNT:rule/NAME",
		attributes: map[string]func(string) string{"Arn": wholeARN},
		properties: map[string]Property{
			"Description": {}, "EventBusName": {}, "EventPattern": {Kind: JSON}, "Name": {CreateOnly: true}, "RoleArn": {},
			"ScheduleExpression": {}, "State": {}, "Tags": tagList, "Targets": objects,
		},
	},
	"AWS::Scheduler::Schedule": schedules,
	"AWS::SNS::Topic": {
		why:        "there is no SNS here, and nothing is published to it.",
		named:      "TopicName",
		arn:        "arn:aws:sns:REGION:ACCOUNT:NAME",
		refIsARN:   true,
		attributes: map[string]func(string) string{"TopicArn": wholeARN, "TopicName": lastOfARN},
		properties: map[string]Property{
			"ContentBasedDeduplication": {Kind: Boolean}, "DataProtectionPolicy": {Kind: JSON}, "DeliveryStatusLogging": objects, "DisplayName": {},
			"FifoTopic": {Kind: Boolean, CreateOnly: true}, "KmsMasterKeyId": {}, "SignatureVersion": {}, "Subscription": objects,
			"Tags": tagList, "TopicName": {CreateOnly: true}, "TracingConfig": {},
		},
	},
	"AWS::SNS::TopicPolicy": {
		why:        "there is no SNS here, and nothing is published to its topics.",
		arn:        "NAME",
		attributes: map[string]func(string) string{"Id": wholeARN},
		properties: map[string]Property{"PolicyDocument": {Kind: JSON, Required: true}, "Topics": {Kind: List, Required: true}},
	},
}
