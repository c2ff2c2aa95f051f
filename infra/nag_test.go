package infra_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// suppressed are the accepted findings of cdk-nag's AwsSolutions pack: the
// rule, the construct and the reason. allowedWildcards limits the wildcards.
var suppressed = map[string]string{
	"AwsSolutions-S1 Builder/SourceBucket/Resource": "uploads are read by the one project only, and expire after a week; access logs would need a second bucket, which outlives them",
	"AwsSolutions-CB4 Builder/Project/Resource":     "the project has no artifacts to encrypt; its sources are by EncryptionKey, if one is given",

	"AwsSolutions-IAM5 Builder/Policy/Resource":                     "each wildcard is on the list of allowedWildcards, with its reason",
	"AwsSolutions-IAM5 Builder/CreationRole/DefaultPolicy/Resource": "the same",
	"AwsSolutions-IAM5 Caller/DefaultPolicy/Resource":               "the same, for a role of whoever starts builds",
	"AwsSolutions-IAM5 TeamCaller/DefaultPolicy/Resource":           "the same, for a role whose builds have limits",
	"AwsSolutions-IAM5 Uploader/DefaultPolicy/Resource":             "the same, for a team that may build any source",
	"AwsSolutions-IAM5 Puller/DefaultPolicy/Resource":               "RepositoryPrefix, for those who pull",
	"AwsSolutions-IAM5 Builder/Project/PolicyDocument/Resource":     "the CDK's own policy for a VPC: the role takes no updates of the project, so it is not in the template",
	"AwsSolutions-ECR1 Builder/Repository-aa/Resource":              "PullPrincipals with an organization, which is everybody with a condition",
	"AwsSolutions-SMG4 Secret/Resource":                             "the test's secret, not the builder's",
}

// builderPath is where the builders of the kinds are.
var builderPath = regexp.MustCompile(`^Stack/(One|Two)/`)

func TestCDKNagFindsNothingElse(t *testing.T) {
	used := map[string]bool{}
	for name, fill := range allKinds {
		t.Run(name, func(t *testing.T) {
			for _, finding := range nagFindings(t, fill) {
				used[finding] = true
				if suppressed[finding] == "" {
					t.Errorf("cdk-nag finds %s: mend it, or say in suppressed why it is right", finding)
				}
			}
		})
	}
	for finding := range suppressed {
		if !used[finding] {
			t.Errorf("%s is suppressed and not found any more: remove it", finding)
		}
	}
}

// nagFindings returns a rule and a construct each, from the pack's own report.
func nagFindings(t *testing.T, fill func(awscdk.Stack)) []string {
	t.Helper()
	app := newApp(t)
	fill(awscdk.NewStack(app, jsii.String("Stack"), nil))
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(nil), nil)
	report, err := os.Open(filepath.Join(synth(app), "AwsSolutions-Stack-NagReport.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	rows, err := csv.NewReader(report).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("a report of %d rows: %v", len(rows), err)
	}
	var findings []string
	for _, row := range rows[1:] {
		if rule, construct, compliance := row[0], row[1], row[2]; compliance != "Compliant" && compliance != "N/A" {
			findings = append(findings, rule+" "+strings.TrimPrefix(builderPath.ReplaceAllString(construct, "Builder/"), "Stack/"))
		}
	}
	return findings
}
