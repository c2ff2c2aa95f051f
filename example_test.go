package flexbuild_test

import (
	"encoding/json"
	"fmt"

	"github.com/codebuild-flex/flexbuild"
)

// The stack's template, for a program that deploys it with CloudFormation.
func Example() {
	var template struct {
		Parameters map[string]struct{ Default any }
	}
	if err := json.Unmarshal([]byte(flexbuild.Template), &template); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a project is called", template.Parameters["ProjectName"].Default, "by default")
	// Output: a project is called flexbuild by default
}
