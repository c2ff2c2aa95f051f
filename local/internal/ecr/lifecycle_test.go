package ecr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

const expirePushed = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countNumber":14,"countUnit":"days"},"action":{"type":"expire"}}]}`

// rule returns a rule of a lifecycle policy.
func rule(priority int, selection, action string) string {
	return fmt.Sprintf(`{"rulePriority":%d,"description":"A rule that is long enough","selection":{%s},"action":{%s}}`, priority, selection, action)
}

const (
	expire   = `"type":"expire"`
	archive  = `"type":"transition","targetStorageClass":"archive"`
	anyTag   = `"tagStatus":"any",`
	untagged = `"tagStatus":"untagged",`
	pushed   = `"countType":"sinceImagePushed","countUnit":"days","countNumber":1`
	pulled   = `"countType":"sinceImagePulled","countUnit":"days","countNumber":90`
)

func TestLifecyclePolicies(t *testing.T) {
	moved := `"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`
	for name, test := range map[string]struct {
		rules []string
		want  string // what ECR says against it; empty for nothing
	}{
		"one rule":            {[]string{rule(1, anyTag+pushed, expire)}, ""},
		"untagged and any":    {[]string{rule(1, untagged+pushed, expire), rule(2, anyTag+pushed, expire)}, ""},
		"a count":             {[]string{rule(1, anyTag+`"countType":"imageCountMoreThan","countNumber":10`, expire)}, ""},
		"patterns":            {[]string{rule(1, `"tagStatus":"tagged","tagPatternList":["dev-*"],`+pushed, expire)}, ""},
		"archive and expire":  {[]string{rule(1, anyTag+pulled, archive), rule(2, anyTag+moved, expire)}, ""},
		"expire by last pull": {[]string{rule(1, anyTag+pulled, expire)}, `rules[0]: the action is "expire", with the countType sinceImagePulled it must be transition`},
		"archive by push":     {[]string{rule(1, anyTag+pushed, archive)}, `the action is "transition", with the countType sinceImagePushed it must be expire`},
		"archive nowhere":     {[]string{rule(1, anyTag+pulled, `"type":"transition"`)}, `the targetStorageClass is ""`},
		"moved out of":        {[]string{rule(1, anyTag+strings.Replace(moved, "archive", "standard", 1), expire)}, "the storageClass is standard"},
		"unknown count":       {[]string{rule(1, anyTag+`"countType":"sinceImageUsed","countUnit":"days","countNumber":1`, expire)}, `the countType is "sinceImageUsed"`},
		"no unit":             {[]string{rule(1, anyTag+`"countType":"sinceImagePushed","countNumber":1`, expire)}, `the countUnit is ""`},
		"a unit of a count":   {[]string{rule(1, anyTag+`"countType":"imageCountMoreThan","countUnit":"days","countNumber":1`, expire)}, `the countUnit is "days"`},
		"no days":             {[]string{rule(1, anyTag+`"countType":"sinceImagePushed","countUnit":"days","countNumber":0`, expire)}, "the countNumber is 0"},
		"part of a day":       {[]string{rule(1, anyTag+`"countType":"sinceImagePushed","countUnit":"days","countNumber":1.5`, expire)}, "countNumber"},
		"no tag status":       {[]string{rule(1, pushed, expire)}, `the tagStatus is ""`},
		"tagged as what":      {[]string{rule(1, `"tagStatus":"tagged",`+pushed, expire)}, "a tagPatternList or a tagPrefixList goes with"},
		"any with patterns":   {[]string{rule(1, anyTag+`"tagPatternList":["a"],`+pushed, expire)}, "a tagPatternList or a tagPrefixList goes with"},
		"both lists":          {[]string{rule(1, `"tagStatus":"tagged","tagPatternList":["a"],"tagPrefixList":["b"],`+pushed, expire)}, "both a tagPatternList and a tagPrefixList"},
		"no priority":         {[]string{rule(0, anyTag+pushed, expire)}, "the rulePriority is 0"},
		"one priority twice":  {[]string{rule(1, untagged+pushed, expire), rule(1, anyTag+pushed, expire)}, "another rule has the rulePriority 1 too"},
		"untagged twice":      {[]string{rule(1, untagged+pushed, expire), rule(2, untagged+pushed, expire)}, "another rule has the tagStatus untagged too"},
		"any before untagged": {[]string{rule(1, anyTag+pushed, expire), rule(2, untagged+pushed, expire)}, "a rule with the tagStatus any must have the highest rulePriority"},
		"unknown field":       {[]string{rule(1, anyTag+`"tagRegex":"a",`+pushed, expire)}, `unknown field "tagRegex"`},
	} {
		t.Run(name, func(t *testing.T) { lifecycleIs(t, `{"rules":[`+strings.Join(test.rules, ",")+`]}`, test.want) })
	}
	lifecycleIs(t, `{"rules":[]}`, "it has 12 characters, not 100 to 30720")
	lifecycleIs(t, `{"rules":[]}`+strings.Repeat(" ", 100), "it has no rules")
	lifecycleIs(t, strings.Repeat("x", 100), "invalid character")
	lifecycleIs(t, expirePushed+expirePushed, "there is more after the policy")
}

// lifecycleIs gives the policy to a repository and to a template.
func lifecycleIs(t *testing.T, text, want string) {
	t.Helper()
	b := newBench(t)
	_, ofRepository := b.ecr.AddRepository(Repository{Repository: types.Repository{RepositoryName: aws.String("app")}, LifecyclePolicyText: text})
	ofTemplate := b.ecr.PutRepositoryCreationTemplate(types.RepositoryCreationTemplate{Prefix: aws.String("team"), LifecyclePolicy: &text})
	for _, err := range []error{ofRepository, ofTemplate} {
		if want == "" && err != nil {
			t.Errorf("refused: %v", err)
		}
		if want != "" && (!errors.As(err, new(*types.InvalidParameterException)) || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
