package buildspec_test

import (
	"fmt"

	"github.com/codebuild-flex/flexbuild/buildspec"
)

// The environment variables of a build, for a client that calls StartBuild
// itself.
func ExampleParams_Environment() {
	params := buildspec.Params{
		Tags:      []string{"app:1.2", "app:latest"},
		Target:    "release",
		BuildArgs: map[string]string{"VERSION": "1.2 beta"},
		GitURL:    "https://git.example.com/org/app.git",
		GitRef:    "v1.2",
	}
	if err := params.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range params.Environment() {
		fmt.Printf("%s=%s\n", v.Name, v.Value)
	}
	// Output:
	// TAG=app:1.2 app:latest
	// TARGET=release
	// BUILD_ARGS=VERSION=1.2+beta
	// GIT_URL=https://git.example.com/org/app.git
	// GIT_REF=v1.2
}

// Parameters that cannot work are reported with the variable, the value and
// what would be right.
func ExampleParams_Validate() {
	err := buildspec.Params{Tags: []string{"App:1"}, Platforms: []string{"linux"}}.Validate()
	fmt.Println(err)
	// Output:
	// TAG: "App:1" is not repository[:tag]: lower-case letters, digits and . _ - / in the repository, at most 128 letters, digits and . _ - in the tag, no registry
	// PLATFORMS: "linux" is not os/arch such as linux/arm64
}

// The image of a build, from the variables that it exported.
func ExampleParseOutcome() {
	outcome, err := buildspec.ParseOutcome(map[string]string{
		"IMAGE_URI":    "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app@sha256:05648e8d95b0b8c1d7828188c3311f50cf6403c8b233edb878e987b51348c883",
		"IMAGE_DIGEST": "sha256:05648e8d95b0b8c1d7828188c3311f50cf6403c8b233edb878e987b51348c883",
		"CONTRACT":     "2",
	})
	fmt.Println(outcome.ImageDigest, err)
	// Output: sha256:05648e8d95b0b8c1d7828188c3311f50cf6403c8b233edb878e987b51348c883 <nil>
}

// What a stack publishes, from the outputs that CloudFormation has of it.
func ExampleParseOutputs() {
	outputs, err := buildspec.ParseOutputs(map[string]string{
		"ContractVersion": "2",
		"ProjectName":     "flexbuild",
		"Registry":        "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
		"RepositoryNames": "app,team/api",
	})
	fmt.Println(outputs.ProjectName, outputs.RepositoryNames, err)

	_, err = buildspec.ParseOutputs(map[string]string{"ContractVersion": "1"})
	fmt.Println(err)
	// Output:
	// flexbuild [app team/api] <nil>
	// it has version 1 of the contract, this program needs version 2
}

// The build's own output, from the log of a build.
func ExampleLog() {
	log := buildspec.NewLog("flexbuild:0a4f")
	for _, text := range []string{
		"[Container] 2026/11/27 10:00:00 Running command bash build.sh",
		"[flexbuild flexbuild:0a4f] begin",
		"#7 RUN make",
		"[flexbuild flexbuild:0a4f] error docker buildx build failed",
		"[flexbuild flexbuild:0a4f] done",
		"[Container] 2026/11/27 10:00:09 Phase complete: BUILD State: FAILED",
	} {
		switch line := log.Line(text); line.Kind {
		case buildspec.Output:
			fmt.Println(line.Text)
		case buildspec.Error:
			fmt.Println("it failed:", line.Text)
		}
	}
	// Output:
	// #7 RUN make
	// it failed: docker buildx build failed
}
