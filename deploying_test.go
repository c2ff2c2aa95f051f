package flexbuild_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/codebuild-flex/flexbuild"
)

// The page about deploying has each parameter of the template with its default,
// and its commands name no other.
func TestDeployingPageHasTheTemplatesParameters(t *testing.T) {
	var template struct {
		Parameters map[string]struct{ Default any }
	}
	if err := json.Unmarshal([]byte(flexbuild.Template), &template); err != nil {
		t.Fatal(err)
	}
	page := read(t, "docs/deploying.md")
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| *(.*?) *\\|").FindAllStringSubmatch(page, -1)
	for _, row := range rows {
		parameter, ok := template.Parameters[row[1]]
		if want := fmt.Sprint(parameter.Default); !ok || strings.Trim(row[2], "`") != want {
			t.Errorf("%s: the page has the default %q, the template %q (a parameter: %v)", row[1], row[2], want, ok)
		}
	}
	if len(rows) != len(template.Parameters) {
		t.Errorf("the page has %d parameters, the template %d", len(rows), len(template.Parameters))
	}
	terraform := regexp.MustCompile(`parameters += \{(.*)\}`).FindStringSubmatch(page)
	cli := regexp.MustCompile(`--parameter-overrides (.*)`).FindStringSubmatch(page)
	if terraform == nil || cli == nil {
		t.Fatal("the page shows no parameters for Terraform or the AWS CLI")
	}
	named := regexp.MustCompile(`(\w+) ?=`).FindAllStringSubmatch(terraform[1]+" "+cli[1], -1)
	named = append(named, regexp.MustCompile(`--parameter (\w+)=`).FindAllStringSubmatch(page, -1)...)
	for _, name := range named {
		if _, ok := template.Parameters[name[1]]; !ok {
			t.Errorf("the page names a parameter %s, which the template has not", name[1])
		}
	}
	if len(named) != 6 {
		t.Errorf("%d parameters are named in the commands, want 6: does this test read the right lines?", len(named))
	}
}
