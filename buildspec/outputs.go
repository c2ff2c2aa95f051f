package buildspec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Keys of the outputs of a deployed stack.
const (
	OutputContractVersion     = "ContractVersion"     // [Version]
	OutputProjectName         = "ProjectName"         // the CodeBuild project
	OutputLogGroupName        = "LogGroupName"        // where its builds log
	OutputSourceBucketName    = "SourceBucketName"    // where local directories are uploaded
	OutputSourcePrefix        = "SourcePrefix"        // under this key prefix, which ends in a slash
	OutputRegistry            = "Registry"            // the registry's host
	OutputRepositoryNames     = "RepositoryNames"     // repositories builds may push to, comma-separated; absent when none are declared
	OutputRepositoryPrefix    = "RepositoryPrefix"    // builds may push to repositories under this prefix; absent when there is none
	OutputCacheRepositoryName = "CacheRepositoryName" // the repository of build caches
	OutputArmImage            = "ArmImage"            // the build image for ARM machines; absent when there are none
	OutputBuildRoleARN        = "BuildRoleArn"        // the role of its builds
	OutputEncryptionKeyARN    = "EncryptionKeyArn"    // the key of the source bucket; absent when there is none
	OutputSourceExpiryInDays  = "SourceExpiryInDays"  // days until an upload may be gone; absent means 1
	OutputParameterName       = "ParameterName"       // the parameter that holds the outputs too; absent when there is none
)

// Outputs are what one image builder of a deployed stack says of itself. What is
// absent is empty.
type Outputs struct {
	ContractVersion  string   // [Version]
	ProjectName      string   // the CodeBuild project that runs the builds
	LogGroupName     string   // the CloudWatch log group they log to
	SourceBucketName string   // the S3 bucket that directories are uploaded to
	SourcePrefix     string   // under this key prefix, which ends in a slash
	Registry         string   // the registry's host
	RepositoryNames  []string // the repositories builds may push to
	RepositoryPrefix string   // and those under this prefix
	CacheRepository  string   // the repository of build caches
	ArmImage         string   // the build image for ARM machines
	BuildRoleARN     string   // the role of the builds
	EncryptionKeyARN string   // the key of the source bucket
	ParameterName    string   // the parameter that holds the outputs too

	// SourceExpiryInDays is how many days the source bucket keeps an upload, at
	// least 1.
	SourceExpiryInDays int
}

// ParseOutputs reads the outputs of one builder (see [OutputsOf]). It fails for
// those of another version of the contract.
func ParseOutputs(outputs map[string]string) (Outputs, error) {
	if version := outputs[OutputContractVersion]; version != "" && version != Version {
		return Outputs{}, fmt.Errorf("it has version %s of the contract, this program needs version %s", version, Version)
	}
	expiry, err := parseExpiry(outputs[OutputSourceExpiryInDays])
	if err != nil {
		return Outputs{}, err
	}
	return Outputs{
		ContractVersion:  outputs[OutputContractVersion],
		ProjectName:      outputs[OutputProjectName],
		LogGroupName:     outputs[OutputLogGroupName],
		SourceBucketName: outputs[OutputSourceBucketName],
		SourcePrefix:     outputs[OutputSourcePrefix],
		Registry:         outputs[OutputRegistry],
		RepositoryNames:  SplitNames(outputs[OutputRepositoryNames]),
		RepositoryPrefix: outputs[OutputRepositoryPrefix],
		CacheRepository:  outputs[OutputCacheRepositoryName],
		ArmImage:         outputs[OutputArmImage],
		BuildRoleARN:     outputs[OutputBuildRoleARN],
		EncryptionKeyARN: outputs[OutputEncryptionKeyARN],
		ParameterName:    outputs[OutputParameterName],

		SourceExpiryInDays: expiry,
	}, nil
}

// parseExpiry reads a number of days; stacks that do not say it keep uploads for
// one.
func parseExpiry(text string) (int, error) {
	if text == "" {
		return 1, nil
	}
	days, err := strconv.Atoi(text)
	if err != nil || days < 1 {
		return 0, fmt.Errorf("its output %s is %q, which must be a whole number of days from 1", OutputSourceExpiryInDays, text)
	}
	return days, nil
}

// SplitNames reads a list of names, separated by commas or spaces.
func SplitNames(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// OutputsOf returns the outputs of one image builder of a stack, without the
// prefix that keeps its keys apart from those of the stack's other builders. An
// empty prefix means the builder that has none, else the only one there is.
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

// prefixes are those of the image builders of a stack. Every builder says the
// version of its contract.
func prefixes(stack map[string]string) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(stack)) {
		if prefix, ok := strings.CutSuffix(key, OutputContractVersion); ok {
			found = append(found, prefix)
		}
	}
	return found
}
