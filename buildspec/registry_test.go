package buildspec

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ecr is a registry of the build's own account and region.
const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

// logins returns the region and the registry of each login to ECR.
func (r ran) logins() []string {
	var all []string
	regions := r.called("aws", "ecr", "get-login-password", "--region")
	for _, args := range r.called("docker", "login", "--username", "AWS", "--password-stdin") {
		if args[0] != "public.ecr.aws" && len(regions) > 0 {
			all = append(all, regions[0][0]+" "+args[0])
			regions = regions[1:]
		}
	}
	return all
}

func TestLogsInToEachRegistryOfBaseImages(t *testing.T) {
	const base = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
	for name, test := range map[string]struct {
		env  map[string]string
		want []string // region and registry
	}{
		"none":               {nil, []string{"eu-west-1 r.test"}},
		"another":            {map[string]string{"BASE_REGISTRIES": base + " r.test"}, []string{"eu-west-1 r.test", "us-east-1 " + base}},
		"two":                {map[string]string{"BASE_REGISTRIES": "a.test\n b.test"}, []string{"eu-west-1 r.test", "eu-west-1 a.test", "eu-west-1 b.test"}},
		"a name like one":    {map[string]string{"BASE_REGISTRIES": "x" + base}, []string{"eu-west-1 r.test", "eu-west-1 x" + base}},
		"mirrors of the own": {map[string]string{"MIRRORS": "quay.io=r.test/quay"}, []string{"eu-west-1 r.test"}},
		"a push elsewhere, without mirrors": {
			map[string]string{"REGION": "eu-west-3", "REGISTRY": ecr},
			[]string{"eu-west-3 123456789012.dkr.ecr.eu-west-3.amazonaws.com", "eu-west-1 " + ecr},
		},
		"the stack's, when the push goes elsewhere": {
			map[string]string{"REGION": "eu-west-3", "MIRRORS": "quay.io=" + ecr + "/quay", "REGISTRY": ecr, "BUILDKIT_HOST": ""},
			[]string{"eu-west-3 123456789012.dkr.ecr.eu-west-3.amazonaws.com", "eu-west-1 " + ecr},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSource(t).run(t, test.env)
			if diff := cmp.Diff(test.want, got.logins()); diff != "" {
				t.Errorf("logins (-want +got):\n%s\n%s", diff, got.output)
			}
		})
	}
}

// A mirror that BuildKit itself is pulled from may want a login.
func TestLogsInBeforeABuilderIsStarted(t *testing.T) {
	got := newSource(t).run(t, map[string]string{"BUILDKIT_HOST": ""})
	got.works(t)
	login := slices.IndexFunc(got.calls, func(c call) bool { return strings.HasPrefix(c.String(), "docker login") })
	create := slices.IndexFunc(got.calls, func(c call) bool { return strings.HasPrefix(c.String(), "docker buildx create") })
	if login < 0 || create < login {
		t.Errorf("calls %q", got.calls)
	}
}

// A login on AWS takes a second, and so does the start of a builder.
func TestLogsInWhileABuilderIsStarted(t *testing.T) {
	created := `for ((i = 0; i < 100; i++)); do ! grep -aq create "$TEST_RECORD" || break; sleep 0.1; done; ((i < 100)) || exit 1`
	newSource(t).run(t, nil, do("'docker login'*", created)).works(t)
}

func TestRefusedLoginEndsTheBuild(t *testing.T) {
	for name, test := range map[string]struct{ answers, says string }{
		"by AWS":                  {answer("'aws ecr get-login-password'*", 254, "AccessDeniedException: not you\n"), "REGISTRY: cannot log in to r.test: AccessDeniedException: not you"},
		"by AWS, whatever docker": {answer("'aws ecr get-login-password'*", 254, "AccessDeniedException: not you") + answer("'docker login'*", 0, ""), "AccessDeniedException: not you"},
		"by the registry":         {answer("'docker login'*", 1, "first line\n401 Unauthorized\n \n"), "REGISTRY: cannot log in to r.test: 401 Unauthorized"},
		"by the second registry":  {answer("'docker login'*base.test", 1, "401 Unauthorized"), "REGISTRY: cannot log in to base.test: 401 Unauthorized"},
		"without a word":          {do("'docker login'*", "exit 1"), "REGISTRY: cannot log in to r.test: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newSource(t).run(t, map[string]string{"BASE_REGISTRIES": "base.test"}, test.answers).fails(t, ExitRegistry, test.says)
		})
	}
}

func TestFindsWhatTheRegistryWillNotTake(t *testing.T) {
	const immutable = `{"repositories": [{"repositoryName": "x", "imageTagMutability": "IMMUTABLE"}]}`
	for name, test := range map[string]struct {
		tag     string
		create  string // CREATE_ON_PUSH
		answers []string
		error   string
		note    string
	}{
		"a repository that is there": {tag: "app:1"},
		"one that is not": {tag: "app:1 team/new:2", answers: []string{answer("*'--repository-names team/new'", 254, "An error occurred (RepositoryNotFoundException) when calling")},
			error: `TAG: the registry r.test has no repository "team/new": create it, or add it to the stack`},
		"one that the first push creates":    {tag: "team/new:1", create: "team/", answers: []string{answer("'aws ecr describe-repositories'*", 254, "RepositoryNotFoundException")}},
		"one that the second prefix creates": {tag: "team/new:1", create: "other team", answers: []string{answer("'aws ecr describe-repositories'*", 254, "RepositoryNotFoundException")}},
		"one with another prefix": {tag: "my/team/new:1", create: "team", answers: []string{answer("'aws ecr describe-repositories'*", 254, "RepositoryNotFoundException")},
			error: `has no repository "my/team/new"`},
		"the prefix alone": {tag: "team:1", create: "team", answers: []string{answer("'aws ecr describe-repositories'*", 254, "RepositoryNotFoundException")},
			error: `has no repository "team"`},
		"a name that begins like the prefix": {tag: "teamwork/new:1", create: "team", answers: []string{answer("'aws ecr describe-repositories'*", 254, "RepositoryNotFoundException")},
			error: `has no repository "teamwork/new"`},
		"an immutable tag that exists": {tag: "app:1", answers: []string{answer("'aws ecr describe-repositories'*", 0, immutable), answer("'aws ecr describe-images'*' --repository-name app --image-ids imageTag=1'", 0, `{"imageDetails": [{"imageDigest": "sha256:0"}]}`)},
			error: `TAG: "app:1" exists, and tags of its repository are immutable: choose another tag`},
		"an immutable latest that exists": {tag: "app", answers: []string{answer("'aws ecr describe-repositories'*", 0, immutable), answer("'aws ecr describe-images'*' --repository-name app --image-ids imageTag=latest'", 0, `{"imageDetails": [{"imageDigest": "sha256:0"}]}`)},
			error: `TAG: "app:latest" exists`},
		"an immutable tag that is new": {tag: "app:1", answers: []string{answer("'aws ecr describe-repositories'*", 0, immutable), answer("'aws ecr describe-images'*", 254, "ImageNotFoundException")}},
		"a mutable tag that exists":    {tag: "app:1", answers: []string{answer("'aws ecr describe-images'*", 0, `{"imageDetails": [{"imageDigest": "sha256:0"}]}`)}},
		"a role that may not ask": {tag: "app:1", answers: []string{answer("'aws ecr describe-repositories'*", 254, "\nAn error occurred (AccessDeniedException): no")},
			note: `it is not known whether the repository "app" can be pushed to: An error occurred (AccessDeniedException): no`},
		"no answer": {tag: "app:1", answers: []string{do("'aws ecr describe-repositories'*", "exit 124")},
			note: `it is not known whether the repository "app" can be pushed to: no answer`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSource(t).run(t, map[string]string{"TAG": test.tag, "CREATE_ON_PUSH": test.create}, test.answers...)
			switch {
			case test.error != "":
				got.fails(t, ExitRegistry, test.error)
			case test.note != "":
				got.works(t, test.note)
			default:
				got.works(t)
			}
		})
	}
}

func TestAsksOnceForEachRepository(t *testing.T) {
	got := newSource(t).run(t, map[string]string{"TAG": "app:1 app:2 team/app app:3"})
	got.works(t)
	var asked []string
	for _, args := range got.called("aws", "ecr", "describe-repositories") {
		asked = append(asked, strings.Join(args, " "))
	}
	const rest = "--region eu-west-1 --registry-id 123456789012 --output json --repository-names "
	if diff := cmp.Diff([]string{rest + "app", rest + "team/app"}, asked); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
}

func TestLogsInToECRPublic(t *testing.T) {
	for name, test := range map[string]struct {
		registry, mirrors, dockerfile string
		want                          bool
	}{
		"a mirror":                     {ecr, "docker.io=public.ecr.aws/docker", "FROM scratch", true},
		"the second mirror":            {ecr, "docker.io=mirror.gcr.io docker.io=public.ecr.aws/docker", "FROM scratch", true},
		"a base image":                 {ecr, "", "FROM public.ecr.aws/docker/library/alpine", true},
		"a Dockerfile that is no text": {ecr, "", "FROM \xff\x00public.ecr.aws/x", true},
		"neither":                      {ecr, "docker.io=mirror.gcr.io", "FROM alpine", false},
		"a mirror with such a name":    {ecr, "docker.io=xpublic.ecr.aws", "FROM alpine", false},
		"GovCloud":                     {"123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", "docker.io=public.ecr.aws/docker", "FROM alpine", false},
		"another registry":             {"r.test", "docker.io=public.ecr.aws/docker", "FROM public.ecr.aws/x", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.writeText(t, "Dockerfile", test.dockerfile)
			got := s.run(t, map[string]string{"REGISTRY": test.registry, "MIRRORS": test.mirrors, "BUILDKIT_HOST": ""})
			got.works(t)
			asked := len(got.called("aws", "ecr-public", "get-login-password", "--region", "us-east-1")) == 1
			login := len(got.called("docker", "login", "--username", "AWS", "--password-stdin", "public.ecr.aws")) == 1
			if asked != test.want || login != test.want {
				t.Errorf("asked for a password: %v, logged in: %v, want %v", asked, login, test.want)
			}
		})
	}
}

func TestBuildsWithoutALoginToECRPublic(t *testing.T) {
	for name, test := range map[string]struct{ answer, says string }{
		"AWS refuses":    {answer("'aws ecr-public'*", 254, "AccessDeniedException") + answer("*public.ecr.aws", 1, "password is empty"), "no login to ECR Public, which serves others less: AccessDeniedException"},
		"docker refuses": {answer("*public.ecr.aws", 1, "denied: no"), "no login to ECR Public, which serves others less: denied: no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.writeText(t, "Dockerfile", "FROM public.ecr.aws/x")
			s.run(t, map[string]string{"REGISTRY": ecr}, test.answer).works(t, test.says)
		})
	}
}

// Each call that waits for another machine, or for the daemon, has a limit. The
// build itself has the project's.
func TestRemoteCallsHaveATimeLimit(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"a given BuildKit":        {"BUILDKIT_HOST": "tcp://b.test:1"},
		"a container":             {"BUILDKIT_HOST": ""},
		"the machine's BuildKit":  {"BUILDKIT_HOST": "", "TEST_BUILDKITD": "/usr/libexec/finch/buildkitd"},
		"an image that is pushed": {"TAG": "app", "CACHE": "inline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.stub(t, "timeout")
			s.writeText(t, "Dockerfile", "FROM public.ecr.aws/x")
			got := s.withSocket(t).run(t, with(env, "REGISTRY", ecr), answer("'aws ecr describe-repositories'*", 0, `"IMMUTABLE" "imageTagMutability": "IMMUTABLE"`))
			got.works(t)
			limited := map[string]bool{}
			for _, args := range got.called("timeout") {
				limited[strings.Join(args[1:], " ")] = true
			}
			remote := 0
			for _, c := range got.calls {
				line := c.String()
				if c.name == "aws" || slices.ContainsFunc([]string{"login", "buildx inspect", "buildx rm", "import", "run", "rm"}, func(verb string) bool {
					return strings.HasPrefix(line, "docker "+verb+" ")
				}) {
					remote++
					if !limited[line] {
						t.Errorf("no time limit: %s", line)
					}
				}
			}
			if remote < 5 {
				t.Errorf("only %d remote calls: %v", remote, got.calls)
			}
		})
	}
}
