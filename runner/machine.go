package runner

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

var armPlatforms = []string{"linux/arm64", "linux/arm64/v8"}

// askForARM has an image for ARM built on an ARM machine, where the stack has an
// image for those: any other machine would need an emulator.
func askForARM(in *codebuild.StartBuildInput, stack Stack, platforms []string) {
	if stack.ArmImage == "" || len(platforms) != 1 || !slices.Contains(armPlatforms, platforms[0]) {
		return
	}
	in.EnvironmentTypeOverride = types.EnvironmentTypeArmContainer
	in.ImageOverride = aws.String(stack.ArmImage)
}
