// Package cloudformation is the local engine's CloudFormation: it deploys the
// template that the CDK synthesizes into the engine's other services.
//
// [Service] has the methods of the AWS SDK's client, so that the wire codec
// can serve them as they are:
//
//	providers := resources.Providers(resources.Services{Roles: roles, Projects: projects, …})
//	svc, err := cloudformation.New(cloudformation.Options{Store: db, Clock: clock, Region: "us-east-1", IAM: roles, Providers: providers})
//	defer svc.Close()
//	out, err := svc.CreateStack(ctx, &cfn.CreateStackInput{StackName: &name, TemplateBody: &body})
//
// The language of templates is package template, the resource types are package
// resources, and this package has the stacks. A deployment goes through four
// steps, and only the last has effects:
//
//  1. parse: a JSON or YAML body becomes a template, its shape checked
//     ([template.Parse]);
//  2. plan: parameters, rules and conditions are evaluated, resources are put
//     in order, every property is resolved as far as it can be known
//     ([template.Resolver]), checked against the [resources.Schema] of its
//     type, and compared with what is deployed (plan.go);
//  3. answer: a change set stores the plan (changeset.go), CreateStack and
//     UpdateStack go on at once;
//  4. execute: a goroutine of the Service walks the order and calls the
//     [resources.Provider] of each type (deploy.go), or undoes what it did
//     (rollback.go).
//
// So a type, property, attribute or reference that the engine does not know
// fails the request by name before any resource is made.
//
// # What matches AWS
//
// Statuses, their order and their events; change sets; stack ids; replacement
// by creating the new resource first and deleting the old one last; DependsOn;
// DeletionPolicy and UpdateReplacePolicy; roll-back on failure; exports and
// imports; capabilities; termination protection; the messages that the CDK
// CLI, the AWS CLI and the SDKs' waiters look for.
//
// # What does not
//
// Resources are handled one after the other. Template macros, nested stacks,
// stack policies, drift and notifications are refused by name. Existing
// resources are imported by their names only (import.go). Templates come in the
// request's body or from the engine's own S3 (templateurl.go). A stack's role
// must exist, let CloudFormation in and be the caller's to pass on; what it may
// do is not checked, no more than what the caller may where there is no role:
// whoever may deploy a stack here may have any resource made, and any plain
// parameter of Systems Manager read. The stack's events say so (role.go).
//
// Whatever a template asks of a resource that the engine does not do is refused
// too, unless it has no meaning on one machine; the schemas of package
// resources say which is which, and why. Types that only watch builds or notify
// of them (alarms, dashboards, event rules, topics) and pull-through cache
// rules are recorded without effect, and the stack's events say so (Note of
// [resources.Resource]).
//
// # State
//
// Everything is kept in the engine's store. A stack whose operation was cut
// off, because the engine was stopped or died, is found in a *_FAILED status
// with a reason when the engine starts again; it can then be rolled back or
// deleted as on AWS.
package cloudformation
