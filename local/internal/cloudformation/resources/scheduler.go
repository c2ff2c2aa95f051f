package resources

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// schedules are AWS::Scheduler::Schedule. What EventBridge Scheduler would
// refuse when a schedule is made, it is refused here; it then never comes due.
var schedules = recordedProvider{
	why:        "there is no EventBridge Scheduler here, so it never comes due.",
	named:      "Name",
	arn:        "arn:aws:scheduler:REGION:ACCOUNT:schedule/default/NAME",
	attributes: map[string]func(string) string{"Arn": wholeARN},
	properties: map[string]Property{
		"Description":                {},
		"EndDate":                    {},
		"FlexibleTimeWindow":         flexibleTimeWindow,
		"GroupName":                  {CreateOnly: true, Values: []string{"default"}},
		"KmsKeyArn":                  {},
		"Name":                       {CreateOnly: true},
		"ScheduleExpression":         {Required: true, Check: checkSchedule},
		"ScheduleExpressionTimezone": {Check: checkTimezone},
		"StartDate":                  {},
		"State":                      {Values: []string{"ENABLED", "DISABLED"}},
		"Target":                     scheduleTarget,
	},
}

var (
	flexibleTimeWindow = Property{Kind: Object, Required: true, Fields: map[string]Property{
		"MaximumWindowInMinutes": {Kind: Integer},
		"Mode":                   {Required: true, Values: []string{"OFF", "FLEXIBLE"}},
	}}
	scheduleTarget = Property{Kind: Object, Required: true, Check: checkTarget, Fields: map[string]Property{
		"Arn":              {Required: true},
		"DeadLetterConfig": {Kind: Object, Fields: map[string]Property{"Arn": {}}},
		"Input":            {},
		"RetryPolicy": {Kind: Object, Fields: map[string]Property{
			"MaximumEventAgeInSeconds": {Kind: Integer},
			"MaximumRetryAttempts":     {Kind: Integer},
		}},
		"RoleArn": {Required: true},
	}}
)

// scheduleForm has the forms of EventBridge Scheduler's user guide, "Schedule
// types". What is in the fields of a cron expression is not looked at.
var scheduleForm = lazyregexp.New(`^(rate\([1-9][0-9]* (minutes?|hours?|days?)\)|cron\(\S+( \S+){5}\)|at\([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\))$`)

func checkSchedule(value any) error {
	if !scheduleForm().MatchString(text(value)) {
		return fmt.Errorf("is %q, no schedule: write rate(1 day), cron(0 3 * * ? *) or at(2026-01-02T03:04:05)", value)
	}
	return nil
}

func checkTimezone(value any) error {
	const example = "Europe/Berlin"
	if _, err := time.LoadLocation(text(value)); err == nil && value != "" && value != "Local" {
		return nil
	}
	if _, err := time.LoadLocation(example); err != nil {
		return fmt.Errorf("is %q, and this machine has no list of time zones: install one, such as Debian's package tzdata, or write UTC", value)
	}
	return fmt.Errorf("is %q, no time zone: write one such as %s", value, example)
}

const startsBuild = ":scheduler:::aws-sdk:codebuild:startBuild"

// checkTarget looks at the input of StartBuild, whose members begin with a
// capital letter there. That of other targets is only kept.
func checkTarget(value any) error {
	target := object(value)
	input, known := target["Input"].(string)
	if !known || !strings.HasSuffix(text(target["Arn"]), startsBuild) {
		return nil
	}
	var call codebuild.StartBuildInput
	decoder := json.NewDecoder(bytes.NewReader([]byte(input)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&call); err != nil {
		return fmt.Errorf("has an Input that is none of StartBuild: %w", err)
	}
	if call.ProjectName == nil {
		return errors.New("has an Input without a ProjectName: name the project to build with")
	}
	return nil
}
