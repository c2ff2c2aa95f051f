package buildspec

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// StackName is the name of the default stack.
const StackName = "flexbuild"

// PlaceholderSource is the source of a project that has no source of its own.
// The repository belongs to GitHub's own account, so nobody else can change it,
// and it has no Dockerfile. A build that is given no other source fails and
// asks for one.
const PlaceholderSource = "https://github.com/octocat/Hello-World"

// These are the keys of a deployed stack's outputs.
const (
	OutputContractVersion     = "ContractVersion"     // [Version]
	OutputProjectName         = "ProjectName"         // the CodeBuild project
	OutputLogGroupName        = "LogGroupName"        // where its builds log
	OutputSourceBucketName    = "SourceBucketName"    // where local directories are uploaded
	OutputSourcePrefix        = "SourcePrefix"        // the key prefix of uploads, which ends in a slash
	OutputSourceExpiryInDays  = "SourceExpiryInDays"  // after so many days an upload is deleted; absent means 1
	OutputRegistry            = "Registry"            // the registry's host
	OutputRepositoryNames     = "RepositoryNames"     // repositories builds may push to, comma-separated; absent when none are declared
	OutputRepositoryPrefix    = "RepositoryPrefix"    // builds may push to repositories under this prefix; absent when there is none
	OutputCacheRepositoryName = "CacheRepositoryName" // the repository of build caches
	OutputArmImage            = "ArmImage"            // the build image for ARM machines; absent when there are none
	OutputBuildRoleARN        = "BuildRoleArn"        // the role of its builds
	OutputEncryptionKeyARN    = "EncryptionKeyArn"    // the key of the source bucket; absent when there is none
	OutputParameterName       = "ParameterName"       // the parameter that holds the outputs too; absent when there is none
)

// Outputs are the outputs of one image builder of a deployed stack. Absent
// outputs are empty.
type Outputs struct {
	ContractVersion    string   // [Version]
	ProjectName        string   // the CodeBuild project that runs the builds
	LogGroupName       string   // the CloudWatch log group they log to
	SourceBucketName   string   // the S3 bucket that directories are uploaded to
	SourcePrefix       string   // the key prefix of uploads, which ends in a slash
	SourceExpiryInDays int      // after so many days an upload is deleted
	Registry           string   // the registry's host
	RepositoryNames    []string // the repositories builds may push to
	RepositoryPrefix   string   // builds may also push to repositories under this prefix
	CacheRepository    string   // the repository of build caches
	ArmImage           string   // the build image for ARM machines
	BuildRoleARN       string   // the role of the builds
	EncryptionKeyARN   string   // the key of the source bucket
	ParameterName      string   // the parameter that holds the outputs too
}

// ParseOutputs parses the outputs of one builder (see [OutputsOf]). It returns
// an error if they have another version of the contract.
func ParseOutputs(outputs map[string]string) (Outputs, error) {
	if version := outputs[OutputContractVersion]; version != "" && version != Version {
		return Outputs{}, fmt.Errorf("it has version %s of the contract, this program needs version %s", version, Version)
	}
	expiry, err := strconv.Atoi(cmp.Or(outputs[OutputSourceExpiryInDays], "1"))
	if err != nil || expiry < 1 {
		return Outputs{}, fmt.Errorf("its output %s is %q, not a number of days from 1", OutputSourceExpiryInDays, outputs[OutputSourceExpiryInDays])
	}
	return Outputs{
		ContractVersion:    outputs[OutputContractVersion],
		ProjectName:        outputs[OutputProjectName],
		LogGroupName:       outputs[OutputLogGroupName],
		SourceBucketName:   outputs[OutputSourceBucketName],
		SourcePrefix:       outputs[OutputSourcePrefix],
		SourceExpiryInDays: expiry,
		Registry:           outputs[OutputRegistry],
		RepositoryNames:    SplitNames(outputs[OutputRepositoryNames]),
		RepositoryPrefix:   outputs[OutputRepositoryPrefix],
		CacheRepository:    outputs[OutputCacheRepositoryName],
		ArmImage:           outputs[OutputArmImage],
		BuildRoleARN:       outputs[OutputBuildRoleARN],
		EncryptionKeyARN:   outputs[OutputEncryptionKeyARN],
		ParameterName:      outputs[OutputParameterName],
	}, nil
}

// SplitNames splits a list of names that are separated by commas or spaces.
func SplitNames(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// OutputsOf returns the outputs of one image builder of a stack, without the
// prefix that distinguishes its keys from those of the stack's other builders.
// An empty prefix selects the builder without a prefix, or the only builder of
// the stack.
func OutputsOf(stack map[string]string, prefix string) (map[string]string, error) {
	builders := prefixes(stack)
	if prefix == "" && len(builders) == 1 {
		prefix = builders[0]
	}
	if !slices.Contains(builders, prefix) && (prefix != "" || len(builders) > 0) {
		return nil, fmt.Errorf("no image builder has the output prefix %q: those of the stack have %q", prefix, builders)
	}
	outputs := map[string]string{}
	for key, value := range stack {
		if bare, ok := strings.CutPrefix(key, prefix); ok {
			outputs[bare] = value
		}
	}
	return outputs, nil
}

// prefixes returns the prefixes of a stack's image builders. Every builder
// publishes its contract version.
func prefixes(stack map[string]string) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(stack)) {
		if prefix, ok := strings.CutSuffix(key, OutputContractVersion); ok {
			found = append(found, prefix)
		}
	}
	return found
}
