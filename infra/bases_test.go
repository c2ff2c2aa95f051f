package infra_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/codebuild-flex/flexbuild/infra"
)

const upstreamType = "AWS::ECR::PullThroughCacheRule"

const hubSecretARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecr-pullthroughcache/hub-AbCdEf"

// hubSecret returns a secret of somebody's own.
func hubSecret(stack awscdk.Stack) awssecretsmanager.ISecret {
	return awssecretsmanager.Secret_FromSecretCompleteArn(stack, jsii.String("Hub"), jsii.String(hubSecretARN))
}

// variables returns the variables that the project passes to every build.
func variables(t *testing.T, tpl template) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, variable := range tpl.project(t).at("Properties.Environment.EnvironmentVariables").([]any) {
		variable := variable.(map[string]any)
		got[variable["Name"].(string)] = text(variable["Value"])
	}
	return anonymous(got)
}

func TestUpstreamsHaveARuleATemplateAMirrorAndPermissions(t *testing.T) {
	tpl := build(t, func(stack awscdk.Stack) infra.ImageBuilderProps {
		return infra.ImageBuilderProps{
			ProjectName:          jsii.String("Team_Images"),
			DockerHubCredentials: hubSecret(stack),
			BaseImageUpstreams:   &[]*infra.BaseImageUpstream{{Registry: jsii.String("quay.io")}},
		}
	})
	check(t, tpl, []want{
		{upstreamType, "dockerhub", "Properties", `{"CredentialArn":"` + hubSecretARN + `",` +
			`"EcrRepositoryPrefix":"team-images-docker-hub","UpstreamRegistry":"docker-hub","UpstreamRegistryUrl":"registry-1.docker.io"}`},
		{upstreamType, "quay", "Properties", `{"EcrRepositoryPrefix":"team-images-quay","UpstreamRegistry":"quay","UpstreamRegistryUrl":"quay.io"}`},
	})
	check(t, tpl, []want{
		{creationType, "quay", "Properties.Prefix", `"team-images-quay"`},
		{creationType, "quay", "Properties.AppliedFor", `["PULL_THROUGH_CACHE"]`},
		{creationType, "quay", "Properties.ImageTagMutability", `"MUTABLE"`},
		{creationType, "quay", "Properties.LifecyclePolicy", compact(untaggedExpiry)},
	})
	want := "docker.io=" + registry + "/team-images-docker-hub quay.io=" + registry + "/team-images-quay"
	if diff := cmp.Diff(want, variables(t, tpl)["MIRRORS"]); diff != "" {
		t.Errorf("MIRRORS: -want +got:\n%s", diff)
	}
	for _, action := range []string{"ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"} {
		if !may(t, tpl, action, underPrefix("team-images-quay/")) {
			t.Errorf("builds may not do %s through the cache", action)
		}
	}
}

// Mirrors are asked in order, so a cache of the stack's own comes before what a
// VPC may not reach, and takes the place of the registry that it caches.
func TestMirrorsOfDockerHub(t *testing.T) {
	const (
		hub       = "docker.io=" + registry + "/images-docker-hub"
		public    = "public.ecr.aws=" + registry + "/images-ecr-public"
		officials = "docker.io=" + registry + "/images-ecr-public/docker"
	)
	var none []*string
	ecrPublic := &[]*infra.BaseImageUpstream{{Registry: jsii.String("public.ecr.aws")}}
	withHub := func(p props) func(awscdk.Stack) props {
		return func(stack awscdk.Stack) props {
			p.DockerHubCredentials = hubSecret(stack)
			return p
		}
	}
	for name, test := range map[string]struct {
		props func(awscdk.Stack) props
		want  string
	}{
		"default":                      {just(props{}), "docker.io=public.ecr.aws/docker docker.io=mirror.gcr.io"},
		"none":                         {just(props{DockerHubMirrors: &none}), ""},
		"one":                          {just(props{DockerHubMirrors: jsii.Strings("public.ecr.aws/docker")}), "docker.io=public.ecr.aws/docker"},
		"a cache of ECR Public":        {just(props{BaseImageUpstreams: ecrPublic}), public + " " + officials + " docker.io=mirror.gcr.io"},
		"a cache of ECR Public, alone": {just(props{BaseImageUpstreams: ecrPublic, DockerHubMirrors: &none}), public},
		"a whole registry with a cache": {just(props{BaseImageUpstreams: ecrPublic, DockerHubMirrors: jsii.Strings("public.ecr.aws")}),
			public + " docker.io=" + registry + "/images-ecr-public"},
		"a cache of Docker Hub":                {withHub(props{}), hub},
		"caches of both":                       {withHub(props{BaseImageUpstreams: ecrPublic}), hub + " " + public},
		"a cache of Docker Hub, and a mirror":  {withHub(props{DockerHubMirrors: jsii.Strings("mirror.gcr.io")}), hub + " docker.io=mirror.gcr.io"},
		"a mirror in a registry with no cache": {just(props{DockerHubMirrors: jsii.Strings("quay.io/hub")}), "docker.io=quay.io/hub"},
	} {
		t.Run(name, func(t *testing.T) {
			tpl := build(t, func(stack awscdk.Stack) props {
				given := test.props(stack)
				given.ProjectName = jsii.String("images")
				return given
			})
			if diff := cmp.Diff(test.want, variables(t, tpl)["MIRRORS"]); diff != "" {
				t.Errorf("MIRRORS: -want +got:\n%s", diff)
			}
		})
	}
}

func TestValidateMirrors(t *testing.T) {
	for given, want := range map[string]string{
		"https://mirror.gcr.io":     `DockerHubMirrors[0]: "https://mirror.gcr.io": write host[:port][/prefix] of a registry`,
		"mirror.gcr.io/":            `DockerHubMirrors[0]: "mirror.gcr.io/": write host[:port][/prefix]`,
		"mirror.gcr.io/Hub":         `DockerHubMirrors[0]: "mirror.gcr.io/Hub": write host[:port][/prefix]`,
		"mirror.gcr.io other.io":    `DockerHubMirrors[0]: "mirror.gcr.io other.io": write host[:port][/prefix]`,
		"docker.io=mirror.gcr.io":   `DockerHubMirrors[0]: "docker.io=mirror.gcr.io": write host[:port][/prefix]`,
		"":                          `DockerHubMirrors[0]: "": write host[:port][/prefix]`,
		"docker.io":                 `DockerHubMirrors[0]: "docker.io" is Docker Hub itself, which builds turn to after all mirrors: remove it`,
		"registry-1.docker.io/hub":  `DockerHubMirrors[0]: "registry-1.docker.io/hub" is Docker Hub itself`,
		*awscdk.Aws_REGION() + ".x": `DockerHubMirrors[0]: the value is a token, which is known at deployment only`,
		"mirror.test:5000/a/b-c":    "",
		"mirror.test":               "",
	} {
		p := props{DockerHubMirrors: jsii.Strings(given)}
		if err := p.Validate(); (err != nil) != (want != "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", given, err, want)
		}
	}
	twice := props{DockerHubMirrors: jsii.Strings("mirror.gcr.io", "mirror.gcr.io")}
	if err := twice.Validate(); err == nil || err.Error() != `DockerHubMirrors[1]: "mirror.gcr.io" is there twice: remove one` {
		t.Errorf("error %v", err)
	}
}

func TestUpstreamsOfChinaAreRefused(t *testing.T) {
	message := panicOf(func() {
		synthesizeStack(t, &awscdk.StackProps{Env: &awscdk.Environment{Region: jsii.String("cn-north-1")}}, func(stack awscdk.Stack) {
			infra.NewImageBuilder(stack, jsii.String("Builder"), &props{DockerHubCredentials: hubSecret(stack)})
		})
	})
	if want := "BaseImageUpstreams, DockerHubCredentials: ECR has no pull-through caches in cn-north-1"; !strings.HasPrefix(message, want) {
		t.Errorf("panic: %q, want %q", message, want)
	}
}

func TestUpstreamPrefixesFitECR(t *testing.T) {
	prefixes := map[any]bool{}
	for _, name := range []string{"a-project-with-a-long-name-1", "a-project-with-a-long-name-2"} {
		tpl := build(t, func(stack awscdk.Stack) infra.ImageBuilderProps {
			return infra.ImageBuilderProps{ProjectName: jsii.String(name), DockerHubCredentials: hubSecret(stack)}
		})
		prefix := tpl.the(t, upstreamType, "").at("Properties.EcrRepositoryPrefix").(string)
		if prefixes[prefix] = true; len(prefix) > 30 {
			t.Errorf("%q has %d characters, ECR takes 30", prefix, len(prefix))
		}
	}
	if len(prefixes) != 2 {
		t.Errorf("two projects have the prefix %v", prefixes)
	}
}

func TestValidateUpstreams(t *testing.T) {
	awscdk.NewApp(nil)
	secret := hubSecret(awscdk.NewStack(nil, nil, nil))
	one := func(registry string, credentials awssecretsmanager.ISecret) *infra.BaseImageUpstream {
		return &infra.BaseImageUpstream{Registry: &registry, Credentials: credentials}
	}
	for want, given := range map[string][]*infra.BaseImageUpstream{
		`BaseImageUpstreams[0]: "docker.io": give DockerHubCredentials instead`:                        {one("docker.io", secret)},
		`BaseImageUpstreams[1]: "quay.io" is there twice: remove one`:                                  {one("quay.io", nil), one("quay.io", nil)},
		`BaseImageUpstreams[0]: "example.com": use one of quay.io, ghcr.io, registry.k8s.io, registry`: {one("example.com", nil)},
		`BaseImageUpstreams[0]: "ghcr.io" without Credentials, which ECR needs`:                        {one("ghcr.io", nil)},
		`BaseImageUpstreams[0]: "quay.io" with Credentials, which ECR does not take`:                   {one("quay.io", secret)},
		`BaseImageUpstreams[0]: "": use one of`:                                                        {nil},
	} {
		p := props{BaseImageUpstreams: &given}
		if err := p.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestUpstreamSecretThatECRDoesNotReadIsFound(t *testing.T) {
	message := panicOf(func() {
		build(t, func(stack awscdk.Stack) props {
			return props{DockerHubCredentials: awssecretsmanager.Secret_FromSecretNameV2(stack, jsii.String("Hub"), jsii.String("hub"))}
		})
	})
	if want := `credentials of docker.io: the secret "hub": ECR reads only those whose name begins with ecr-pullthroughcache/`; !strings.HasPrefix(message, want) {
		t.Errorf("panic: %q, want %q", message, want)
	}
	build(t, func(stack awscdk.Stack) props { // its name is known at deployment only
		return props{DockerHubCredentials: awssecretsmanager.NewSecret(stack, jsii.String("Hub"), nil)}
	})
}

func TestBaseImagesOfAnotherRegistryAreLoggedInTo(t *testing.T) {
	tpl := synthesizeStack(t, nil, func(stack awscdk.Stack) {
		builder := infra.NewImageBuilder(stack, jsii.String("Builder"), nil)
		builder.AllowBaseImages(awsecr.Repository_FromRepositoryName(stack, jsii.String("Own"), jsii.String("base")))
		for _, name := range []string{"one", "two"} {
			builder.AllowBaseImages(awsecr.Repository_FromRepositoryArn(stack, jsii.String(name),
				jsii.String("arn:aws:ecr:eu-west-1:123456789012:repository/"+name)))
		}
		builder.AllowBaseImages(awsecr.Repository_FromRepositoryArn(stack, jsii.String("China"),
			jsii.String("arn:aws-cn:ecr:cn-north-1:123456789012:repository/base")))
	})
	const want = "123456789012.dkr.ecr.eu-west-1.${AWS::URLSuffix} 123456789012.dkr.ecr.cn-north-1.${AWS::URLSuffix}"
	if got := variables(t, tpl)["BASE_REGISTRIES"]; got != want {
		t.Errorf("BASE_REGISTRIES is %q, want %q", got, want)
	}
	if got := variables(t, tpl)["CACHE_REPOSITORY"]; got != "${CacheRepository}" {
		t.Errorf("CACHE_REPOSITORY is %q", got)
	}
}
