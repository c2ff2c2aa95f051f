package resources

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// Services are the engine's services in which the providers make resources.
type Services struct {
	Region       string // of ARNs
	AccountID    string
	Roles        Roles
	LogGroups    LogGroups
	Buckets      Buckets
	Repositories Repositories
	Projects     Projects
	Parameters   Parameters
	Secrets      Secrets
}

// Providers returns the provider of each resource type that the local engine
// knows.
func Providers(s Services) map[string]Provider {
	providers := map[string]Provider{
		"AWS::CDK::Metadata":                   metadataProvider{},
		"AWS::CodeBuild::Project":              projectProvider{s.Projects},
		"AWS::ECR::PullThroughCacheRule":       pullThroughProvider{s.Repositories},
		"AWS::ECR::Repository":                 repositoryProvider{s.Repositories},
		"AWS::ECR::RepositoryCreationTemplate": creationTemplateProvider{s.Repositories},
		"AWS::IAM::ManagedPolicy":              managedPolicyProvider{policyProvider{s.Roles}, s.AccountID},
		"AWS::IAM::Policy":                     policyProvider{s.Roles},
		"AWS::IAM::Role":                       roleProvider{s.Roles},
		"AWS::Logs::LogGroup":                  logGroupProvider{s.LogGroups, s.Region, s.AccountID},
		"AWS::S3::Bucket":                      bucketProvider{s.Buckets, s.Region},
		"AWS::S3::BucketPolicy":                bucketPolicyProvider{s.Buckets},
		"AWS::SSM::Parameter":                  parameterProvider{s.Parameters},
		"AWS::SecretsManager::Secret":          secretProvider{s.Secrets},
	}
	for kind, r := range recorded {
		r.services = s
		providers[kind] = r
	}
	return providers
}

// convert reads properties into a type of the SDK. Their names differ in
// case at most, and that does not matter to encoding/json.
func convert[T any](properties any) (T, error) {
	var into T
	data, err := json.Marshal(properties)
	if err == nil {
		err = json.Unmarshal(data, &into)
	}
	if err != nil {
		return into, fmt.Errorf("properties do not fit %T: %w", into, err)
	}
	return into, nil
}

// without are properties that fit a type of the SDK, less those that do not.
func without(properties map[string]any, names ...string) map[string]any {
	left := maps.Clone(properties)
	for _, name := range names {
		delete(left, name)
	}
	return left
}

// unlessNotFound reports, from a service's error, whether something exists.
func unlessNotFound[NotFound error](err error) (exists bool, _ error) {
	if _, missing := errors.AsType[NotFound](err); missing {
		return false, nil
	}
	return err == nil, err
}

// document writes a JSON property, such as a policy document.
func document(value any) json.RawMessage {
	data, _ := json.Marshal(value) // it came from JSON
	return data
}

// object is a property's object, or nil.
func object(value any) map[string]any {
	object, _ := value.(map[string]any)
	return object
}

// items is a property's list, or nil.
func items(value any) []any {
	list, _ := value.([]any)
	return list
}

// texts is a property's list of strings.
func texts(value any) []string {
	var list []string
	for _, item := range items(value) {
		list = append(list, text(item))
	}
	return list
}

// text is a property's string, or "".
func text(value any) string {
	text, _ := value.(string)
	return text
}

// alreadyExists is the error of a Create that finds its resource's name taken.
func alreadyExists(kind, name string) error {
	return fmt.Errorf("%s %s already exists; the stack cannot take it over. Delete it, or give the new one another name", kind, name)
}
