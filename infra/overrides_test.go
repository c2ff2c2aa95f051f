package infra_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	"github.com/codebuild-flex/flexbuild/infra"
)

// override is what GrantStart does about a member of StartBuild.
type override struct {
	keys   []string // condition keys of the denies, without their prefix; none: it is not denied
	remark string
}

func denies(remark string, keys ...string) override { return override{keys, remark} }
func leaves(remark string) override                 { return override{remark: remark} }

// overrides has every member of StartBuild. Before adding one that is new in
// the SDK, find out whether it lets a caller run something else than the
// stack's script with the build's role, or send its results elsewhere.
var overrides = map[string]override{
	"ArtifactsOverride":                denies("", "artifacts"),
	"AutoRetryLimitOverride":           denies("", "autoRetryLimit"),
	"BuildStatusConfigOverride":        denies("", "source.buildStatusConfig.context", "source.buildStatusConfig.targetUrl"),
	"BuildspecOverride":                denies("", "source.buildspec"),
	"CacheOverride":                    denies("", "cache"),
	"CertificateOverride":              denies("", "environment.certificate"),
	"ComputeTypeOverride":              leaves("`StartLimits.MaxComputeType` denies larger ones"),
	"DebugSessionEnabled":              leaves("a session needs `ssm:StartSession`, which the construct gives to nobody, and the builder's `SsmSessionPermissions`"),
	"EncryptionKeyOverride":            denies("", "encryptionKey"),
	"EnvironmentTypeOverride":          denies("except `ARM_CONTAINER`, if the stack has an ARM image", "environment.type"),
	"EnvironmentVariablesOverride":     leaves("the names of the contract's variables only; `StartLimits` looks at the values of some"),
	"FleetOverride":                    denies("", "environment.fleet.fleetArn"),
	"GitCloneDepthOverride":            leaves(""),
	"GitSubmodulesConfigOverride":      leaves("submodules are read with the access that the build has to their repositories"),
	"IdempotencyToken":                 leaves(""),
	"ImageOverride":                    denies("except the stack's ARM image", "environment.image"),
	"ImagePullCredentialsTypeOverride": denies("", "environment.imagePullCredentialsType"),
	"InsecureSslOverride":              denies("", "source.insecureSsl"),
	"LogsConfigOverride":               denies("", "logsConfig"),
	"PrivilegedModeOverride":           denies("", "environment.privilegedMode"),
	"ProjectName":                      leaves("the grant is for this project only"),
	"QueuedTimeoutInMinutesOverride":   leaves("up to 8 hours"),
	"RegistryCredentialOverride":       denies("", "environment.registryCredential"),
	"ReportBuildStatusOverride":        leaves("a status is reported with the source's credentials, under the project's own name"),
	"SecondaryArtifactsOverride":       denies("", "secondaryArtifacts"),
	"SecondarySourcesOverride":         denies("", "secondarySources"),
	"SecondarySourcesVersionOverride":  leaves("it has no effect without secondary sources"),
	"ServiceRoleOverride":              denies("", "serviceRole"),
	"SourceAuthOverride":               denies("", "source.auth.resource", "source.auth.type"),
	"SourceLocationOverride":           leaves("`StartLimits.Sources` and `StartLimits.Team` deny others"),
	"SourceTypeOverride":               leaves(""),
	"SourceVersion":                    leaves(""),
	"TimeoutInMinutesOverride":         leaves("up to 36 hours"),
}

func TestEveryMemberOfStartBuildIsDecided(t *testing.T) {
	members := reflect.VisibleFields(reflect.TypeFor[codebuild.StartBuildInput]())
	known := 0
	for _, member := range members {
		if !member.IsExported() {
			continue
		}
		if _, ok := overrides[member.Name]; !ok {
			t.Errorf("StartBuild has a member %s: say in overrides what GrantStart does about it", member.Name)
		}
		known++
	}
	if known != len(overrides) {
		t.Errorf("StartBuild has %d members, overrides %d", known, len(overrides))
	}
}

// The keys that GrantStart denies are those of the table, and no others.
func TestOverridesAreDeniedAsTheTableSays(t *testing.T) {
	var denied, want []string
	for _, statement := range granted(t, func(b infra.ImageBuilder, caller awsiam.IGrantable) { b.GrantStart(caller, nil) }) {
		keys, _ := statement.at("Condition.Null").(map[string]any)
		for key, value := range keys {
			if statement["Effect"] == "Deny" && value == "false" && len(keys) == 1 {
				denied = append(denied, strings.TrimPrefix(key, "codebuild:"))
			}
		}
	}
	for _, o := range overrides {
		want = append(want, o.keys...)
	}
	slices.Sort(denied)
	slices.Sort(want)
	if !slices.Equal(denied, want) {
		t.Errorf("GrantStart denies %q, the table says %q", denied, want)
	}
}

var overridesTable = regexp.MustCompile(`(?s)(<!-- overrides: .*? -->\n).*?(<!-- end -->)`)

func TestSecurityPageHasTheOverrides(t *testing.T) {
	const page = "../docs/security.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !overridesTable.Match(text) {
		t.Fatalf("%s has no place for the table", page)
	}
	var table strings.Builder
	table.WriteString("| member of `StartBuild` | condition key | `GrantStart` |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		o := overrides[name]
		verdict := "leaves it to the caller"
		if len(o.keys) > 0 {
			verdict = "denies it"
		}
		if o.remark != "" {
			verdict += ": " + o.remark
		}
		var keys []string
		for _, key := range o.keys {
			keys = append(keys, "`codebuild:"+key+"`")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", strings.ToLower(name[:1])+name[1:], strings.Join(keys, ", "), verdict)
	}
	compareFile(t, page, overridesTable.ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(table.String(), "$", "$$")+"${2}")))
}
