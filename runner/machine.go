package runner

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

const platformARM = "linux/arm64"

// askForARM requests an ARM machine for a build of an ARM image if the stack
// has a build image for such machines. Any other machine would need an
// emulator.
func askForARM(in *codebuild.StartBuildInput, stack Stack, platforms []string) {
	if stack.ArmImage == "" || !slices.Equal(platforms, []string{platformARM}) {
		return
	}
	in.EnvironmentTypeOverride = types.EnvironmentTypeArmContainer
	in.ImageOverride = aws.String(stack.ArmImage)
}

// architectures maps the names that docker accepts for an architecture to the
// name that docker uses. The second part of a name is a variant.
var architectures = map[string]string{
	"386": "386", "i386": "386",
	"amd64": "amd64", "amd64/v1": "amd64", "x86_64": "amd64", "x86_64/v1": "amd64", "x86-64": "amd64", "x86-64/v1": "amd64",
	"arm64": "arm64", "arm64/8": "arm64", "arm64/v8": "arm64", "arm64/v8.0": "arm64",
	"aarch64": "arm64", "aarch64/8": "arm64", "aarch64/v8": "arm64", "aarch64/v8.0": "arm64",
	"arm": "arm/v7", "arm/7": "arm/v7", "arm/6": "arm/v6", "arm/5": "arm/v5", "armhf": "arm/v7", "armel": "arm/v6",
	"ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
}

func normalizePlatforms(platforms []string) []string {
	normal := slices.Clone(platforms)
	for i, platform := range normal {
		normal[i] = normalizePlatform(platform)
	}
	return normal
}

// normalizePlatform writes a platform as docker does. An architecture alone
// means Linux. Unknown names are returned unchanged.
func normalizePlatform(platform string) string {
	lower := strings.ToLower(strings.TrimSpace(platform))
	if known, ok := architectures[lower]; ok {
		return "linux/" + known
	}
	system, architecture, _ := strings.Cut(lower, "/")
	if known, ok := architectures[architecture]; ok {
		return system + "/" + known
	}
	return platform
}
