// Package logs is the local engine's CloudWatch Logs: log groups, log streams
// and their events, persistent.
//
//	service, err := logs.New(logs.Options{Store: db, Clock: clock, Region: "us-east-1"})
//	err = service.PutLogGroup("/aws/codebuild/flexbuild", 30)
//	err = service.Append("/aws/codebuild/flexbuild", stream, []logs.Event{{Time: now, Message: "Hello\n"}})
//
// Readers use the API, whose operations have the SDK's shape: read.go for one
// stream, filter.go for many, describe.go for what there is. Events keep the
// order in which they arrived. AWS sorts by timestamp, which is the same thing
// for a writer whose clock does not go back; in exchange a reader that follows
// tokens never loses a late event.
//
// Retention is applied when the engine starts: streams whose last event is
// older than their group's retention go.
package logs
