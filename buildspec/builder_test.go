package buildspec

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const finch = "/usr/libexec/finch/buildkitd"

// with returns env with one more variable.
func with(env map[string]string, name, value string) map[string]string {
	all := map[string]string{name: value}
	maps.Copy(all, env)
	return all
}

// withSocket gives the sandbox a socket that the machine's BuildKit listens on
// once its container runs.
func (s sandbox) withSocket(t testing.TB) sandbox {
	t.Helper()
	l, err := net.Listen("unix", s.root+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return s
}

// steps returns the calls that create, inspect and remove builders, in order,
// each shortened to its verb and the argument that matters.
func (r ran) steps() []string {
	var all []string
	for _, c := range r.calls {
		line := c.String()
		switch {
		case strings.HasPrefix(line, "docker buildx create"):
			driver := c.args[slices.Index(c.args, "--driver")+1]
			all = append(all, "create "+driver)
		case strings.HasPrefix(line, "docker run"):
			all = append(all, "run")
		case strings.HasPrefix(line, "docker buildx rm"):
			all = append(all, "remove "+c.args[2])
		case strings.HasPrefix(line, "docker rm "):
			all = append(all, "remove container "+c.args[len(c.args)-1])
		case strings.HasPrefix(line, "docker buildx build") && !slices.Contains(c.args, "--output=type=cacheonly"):
			all = append(all, "build by "+c.args[slices.Index(c.args, "--builder")+1])
		}
	}
	return all
}

func TestChoosesABuilder(t *testing.T) {
	native, other := "linux/amd64", "linux/arm64"
	if uname, err := exec.Command("uname", "-m").Output(); err != nil || strings.TrimSpace(string(uname)) == "aarch64" {
		native, other = other, native
	}
	removed := "remove " + testBuilder
	noBuildx := answer("'docker buildx create'*docker-container*", 1, "cannot create")
	noPull := answer("'docker buildx inspect --bootstrap'*", 1, "pulling\ncannot pull moby/buildkit")
	noRun := answer("'docker run'*", 1, "privileged is refused")
	machines := []string{"run", "create remote", "build by " + testBuilder, removed, "remove container " + testBuilder}
	container := []string{"create docker-container", "build by " + testBuilder, removed}
	for name, test := range map[string]struct {
		env     map[string]string
		answers []string
		want    []string
		notes   []string
	}{
		"a given BuildKit": {map[string]string{"BUILDKIT_HOST": "tcp://b.test:1", "BUILDX_BUILDER": "theirs", "TEST_BUILDKITD": finch}, nil,
			[]string{"create remote", "build by " + testBuilder, removed}, nil},
		"a given builder": {map[string]string{"BUILDX_BUILDER": "theirs", "TEST_BUILDKITD": finch}, nil,
			[]string{"build by theirs"}, nil},
		"the machine's BuildKit":                       {map[string]string{"TEST_BUILDKITD": finch}, nil, machines, nil},
		"the machine's BuildKit, for its platform":     {map[string]string{"TEST_BUILDKITD": "/usr/bin/buildkitd", "PLATFORMS": native}, nil, machines, nil},
		"the machine's BuildKit, for half a name":      {map[string]string{"TEST_BUILDKITD": "/usr/bin/buildkitd", "PLATFORMS": strings.TrimPrefix(native, "linux/")}, nil, machines, nil},
		"a container, where the machine has none":      {nil, nil, container, nil},
		"a container, where the machine's is a user's": {map[string]string{"TEST_BUILDKITD": "/opt/buildkitd"}, nil, container, nil},
		"a container, where the machine's does not run": {map[string]string{"TEST_BUILDKITD": finch}, []string{noRun},
			slices.Concat([]string{"run", removed, "remove container " + testBuilder}, container, []string{"remove container " + testBuilder}),
			[]string{"the machine's own BuildKit is not used: privileged is refused"}},
		"a container, where the machine's ends at once": {map[string]string{"TEST_BUILDKITD": finch},
			[]string{answer("'docker inspect'*", 0, "false"), answer("'docker logs'*", 0, "starting\nno overlay"), do("'docker run'*", `after --name "$@"; make container "$REPLY" x; exit`), answer("'docker buildx inspect --bootstrap'*", 1, "no socket")},
			[]string{"run", "create remote", removed, "remove container " + testBuilder, "create docker-container", removed, "remove container " + testBuilder, "build by default"},
			[]string{"the machine's own BuildKit is not used: no overlay", "no BuildKit container starts, so the Docker daemon builds: no socket", "this builder cannot export a cache"}},
		"a container, where the machine's copies layers": {map[string]string{"TEST_BUILDKITD": finch},
			[]string{do("'docker buildx inspect --bootstrap'*", `driver_of "${!#}"; [[ $REPLY != remote ]] || { echo 'worker.snapshotter: native'; exit; }`), answer("'docker logs'*", 0, "snapshotter native")},
			slices.Concat([]string{"run", "create remote", removed, "remove container " + testBuilder}, container, []string{"remove container " + testBuilder}),
			[]string{"the machine's own BuildKit is not used: its snapshotter is not overlayfs"}},
		"the machine's BuildKit, which takes a while": {map[string]string{"TEST_BUILDKITD": finch},
			[]string{do("'docker run'*", `after --name "$@"; make container "$REPLY" x; exit`), do("'docker inspect'*", `echo >>"$TEST_RECORD.asked"; (($(wc -l <"$TEST_RECORD.asked") < 3)) || ln "$TEST_SOCKET" "$HOME/.flexbuild/socket/buildkitd.sock"; echo true; exit`),
				do("'docker buildx inspect --bootstrap'*", `[[ -S $HOME/.flexbuild/socket/buildkitd.sock ]] || exit 1`)}, machines, nil},
		"a container, for another architecture": {map[string]string{"TEST_BUILDKITD": finch, "PLATFORMS": other}, nil, container, nil},
		"a container, for a third architecture": {map[string]string{"TEST_BUILDKITD": finch, "PLATFORMS": "linux/riscv64"}, nil, container, nil},
		"the machine's, where another architecture gets no container": {map[string]string{"TEST_BUILDKITD": finch, "PLATFORMS": other}, []string{noBuildx},
			slices.Concat([]string{"create docker-container", removed}, machines),
			[]string{"no BuildKit with emulators starts (cannot create): RUN steps for " + other + " will fail"}},
		"the daemon, where nothing starts": {map[string]string{"TEST_BUILDKITD": finch}, []string{noRun, noPull},
			[]string{"run", removed, "remove container " + testBuilder, "create docker-container", removed, "remove container " + testBuilder, "build by default"},
			[]string{"privileged is refused", "so the Docker daemon builds: cannot pull moby/buildkit", "this builder cannot export a cache"}},
		"the daemon, where no container starts": {nil, []string{noPull},
			[]string{"create docker-container", removed, "build by default"},
			[]string{"so the Docker daemon builds: cannot pull moby/buildkit", "this builder cannot export a cache"}},
		"the daemon, where no builder is made": {nil, []string{noBuildx},
			[]string{"create docker-container", removed, "build by default"},
			[]string{"so the Docker daemon builds: cannot create", "this builder cannot export a cache"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := with(with(test.env, "BUILDKIT_HOST", ""), "TEST_BUILDKITD", "")
			got := newSource(t).withSocket(t).run(t, env, test.answers...)
			got.works(t, test.notes...)
			if diff := cmp.Diff(test.want, got.steps()); diff != "" {
				t.Errorf("steps (-want +got):\n%s\n%s", diff, got.output)
			}
		})
	}
}

func TestBuildKitThatCannotBeUsedEndsTheBuild(t *testing.T) {
	got := newSource(t).run(t, nil, answer("'docker buildx create'*", 1, "invalid endpoint"))
	got.fails(t, ExitRegistry, "BUILDKIT_HOST: cannot use it: invalid endpoint")
}

// The script removes a builder that it has created, however the build ends, and
// keeps one that it was given.
func TestRemovesItsOwnBuilderOnly(t *testing.T) {
	for ending, answers := range map[string]string{
		"success":          "",
		"failure":          do("'docker buildx build'*", "exit 1"),
		"a refused tag":    answer("'aws ecr describe-repositories'*", 254, "RepositoryNotFoundException"),
		"a broken pipe":    do("tee*", "exit 1"),
		"SIGTERM":          do("'docker buildx build'*", "stop_script"),
		"SIGTERM, earlier": do("'docker buildx create'*", "stop_script"),
	} {
		for given, env := range map[string]map[string]string{
			"own":                     {"BUILDKIT_HOST": ""},
			"the machine's":           {"BUILDKIT_HOST": "", "TEST_BUILDKITD": finch},
			"a given BuildKit's name": {},
			"given":                   {"BUILDKIT_HOST": "", "BUILDX_BUILDER": "theirs"},
			"the daemon's":            {"BUILDKIT_HOST": "", "BUILDX_BUILDER": "default"},
		} {
			if given != "own" && given != "the machine's" && (strings.HasPrefix(ending, "a ") || ending == "SIGTERM, earlier") {
				continue // as the others, and a run takes time
			}
			t.Run(ending+"/"+given, func(t *testing.T) {
				t.Parallel()
				s := newSource(t).withSocket(t)
				s.stub(t, "tee")
				got := s.run(t, env, answers)
				removed := slices.Contains(got.steps(), "remove "+testBuilder)
				if own := given != "given" && given != "the daemon's"; removed != own || strings.Contains(strings.Join(got.steps(), ","), "remove theirs") {
					t.Errorf("the own builder is removed: %v, want %v: %q\n%s", removed, own, got.steps(), got.output)
				}
			})
		}
	}
}

func TestMachinesBuildKitRunsApartFromTheMachine(t *testing.T) {
	s := newSource(t).withSocket(t)
	got := s.run(t, map[string]string{"BUILDKIT_HOST": "", "TEST_BUILDKITD": finch, "MIRRORS": "docker.io=a.test/hub docker.io=b.test"})
	got.works(t)
	work := s.home + "/.flexbuild"
	run := strings.Join(got.called("docker", "run")[0], " ")
	for _, option := range []string{
		"-d", "--privileged", "--name " + testBuilder,
		"-v /usr:/usr:ro", "-v /etc:/etc:ro", "-v " + work + "/socket:/run/flexbuild", "-v /var/lib/buildkit",
		"-e BUILDKIT_STEP_LOG_MAX_SIZE=-1", "-e BUILDKIT_STEP_LOG_MAX_SPEED=-1", "-e BUILDKIT_SETUP_CGROUPV2_ROOT=1", "-e PATH=" + s.path + ":/run/flexbuild",
		"localhost/flexbuild/machine " + finch, "--config /run/flexbuild/buildkitd.toml", "--root /var/lib/buildkit",
		"--addr unix:///run/flexbuild/buildkitd.sock", "--oci-worker=true", "--containerd-worker=false", "--oci-worker-gc=false",
	} {
		if !strings.Contains(" "+run+" ", " "+option+" ") {
			t.Errorf("docker run lacks %s:\n%s", option, run)
		}
	}
	if to, err := os.Readlink(work + "/socket/unpigz"); to != "/usr/bin/gzip" {
		t.Errorf("BuildKit unpacks layers with %q (%v), not with gzip", to, err)
	}
	if strings.Contains(run, "--network") || strings.Contains(run, "--net") {
		t.Errorf("steps would reach the machine's open ports: %s", run)
	}
	if args := got.called("docker", "buildx", "create")[0]; args[len(args)-1] != "unix://"+work+"/socket/buildkitd.sock" {
		t.Errorf("buildx uses %q", args)
	}
	if diff := cmp.Diff(map[string]string{"docker.io": `a.test/hub", "b.test`}, mirrorsIn(t, work+"/socket/buildkitd.toml")); diff != "" {
		t.Errorf("mirrors (-want +got):\n%s", diff)
	}
	image, err := os.ReadFile(s.record + ".image")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin", "dev/", "etc/", "lib", "lib64", "proc/", "run/", "sbin", "sys/", "tmp/", "usr/", "var/"} {
		if !strings.Contains("\n"+string(image), "\n./"+name+"\n") {
			t.Errorf("the container's image lacks %s:\n%s", name, image)
		}
	}
}

// mirrorsIn reads BuildKit's configuration, which must hold nothing but
// mirrors: for each registry the list, as it is written.
func mirrorsIn(t testing.TB, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?m)^\[registry\."(.*)"\]\n  mirrors = \["(.*)"\]\n`)
	mirrors := map[string]string{}
	for _, match := range block.FindAllStringSubmatch(string(text), -1) {
		mirrors[match[1]] = match[2]
	}
	if rest := block.ReplaceAllString(string(text), ""); rest != "" {
		t.Errorf("the configuration has also %q", rest)
	}
	return mirrors
}

func TestMirrorsOfBaseImages(t *testing.T) {
	const hub = "image=moby/buildkit:buildx-stable-1"
	for name, test := range map[string]struct {
		mirrors string
		want    map[string]string // in order, as in the file
		image   string            // that BuildKit itself is pulled as
	}{
		"none":                  {"", map[string]string{}, hub},
		"another":               {"docker.io=public.ecr.aws/docker quay.io=r.test:5000/q/uay", map[string]string{"docker.io": "public.ecr.aws/docker", "quay.io": "r.test:5000/q/uay"}, hub},
		"Docker Hub":            {"docker.io=r.test/docker-hub", map[string]string{"docker.io": "r.test/docker-hub"}, "image=r.test/docker-hub/moby/buildkit:buildx-stable-1"},
		"given twice":           {" ghcr.io=a.test/x\n ghcr.io=b.test/y ", map[string]string{"ghcr.io": `a.test/x", "b.test/y`}, hub},
		"several of Docker Hub": {"docker.io=public.ecr.aws/docker docker.io=mirror.gcr.io docker.io=c.test", map[string]string{"docker.io": `public.ecr.aws/docker", "mirror.gcr.io", "c.test`}, "image=mirror.gcr.io/moby/buildkit:buildx-stable-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			got := s.run(t, map[string]string{"MIRRORS": test.mirrors, "BUILDKIT_HOST": ""})
			got.works(t)
			create := got.called("docker", "buildx", "create")[0]
			config := s.home + "/.flexbuild/buildkitd.toml"
			if i := slices.Index(create, "--buildkitd-config"); i < 0 || create[i+1] != config {
				t.Fatalf("the configuration is not used: %q", create)
			}
			if diff := cmp.Diff(test.want, mirrorsIn(t, config)); diff != "" {
				t.Errorf("mirrors (-want +got):\n%s", diff)
			}
			image := ""
			if i := slices.IndexFunc(create, func(arg string) bool { return strings.HasPrefix(arg, "image=") }); i >= 0 {
				image = create[i]
			}
			if image != test.image {
				t.Errorf("BuildKit's image is %q, want %q", image, test.image)
			}
			for _, limit := range []string{"SIZE", "SPEED"} {
				if !slices.Contains(create, "env.BUILDKIT_STEP_LOG_MAX_"+limit+"=-1") {
					t.Errorf("BuildKit cuts what steps print: %q", create)
				}
			}
		})
	}
}

func TestMirrorsThatDoNotApplyAreSaid(t *testing.T) {
	const note = "MIRRORS do not apply"
	for name, test := range map[string]struct {
		env   map[string]string
		notes []string
	}{
		"a given BuildKit":                        {map[string]string{}, nil},
		"a given builder":                         {map[string]string{"BUILDKIT_HOST": "", "BUILDX_BUILDER": "theirs"}, nil},
		"a daemon that CodeBuild has not started": {map[string]string{"BUILDKIT_HOST": "", "BUILDX_BUILDER": "default", "CACHE": "none"}, []string{note}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newSource(t).run(t, with(test.env, "MIRRORS", "quay.io=r.test/quay")).works(t, test.notes...)
		})
	}
}

// On CodeBuild's machine the daemon's own directory is configured. Here it is
// one of the sandbox, and its path the only thing that differs in the script.
func TestMirrorsOfADaemonThatCodeBuildStarted(t *testing.T) {
	for name, test := range map[string]struct {
		env   map[string]string
		notes []string
		want  map[string]string
	}{
		"its daemon": {map[string]string{"MIRRORS": "docker.io=public.ecr.aws/docker docker.io=m.test/docker quay.io=r.test:5000/a/b kept.test=r.test"}, nil, map[string]string{
			"docker.io": "server = \"https://registry-1.docker.io\"\n" + hostsEntry("public.ecr.aws/v2/docker") + hostsEntry("m.test/v2/docker"),
			"quay.io":   hostsEntry("r.test:5000/v2/a/b"),
			"kept.test": "kept\n",
		}},
		"on its socket":     {map[string]string{"MIRRORS": "quay.io=r.test", "DOCKER_HOST": "unix:///run/docker.sock"}, nil, map[string]string{"quay.io": hostsEntry("r.test/v2")}},
		"another daemon":    {map[string]string{"MIRRORS": "quay.io=r.test", "DOCKER_HOST": "tcp://docker.test:2375"}, []string{"MIRRORS do not apply"}, map[string]string{"kept.test": "kept\n"}},
		"a given builder":   {map[string]string{"MIRRORS": "quay.io=r.test", "BUILDX_BUILDER": "theirs"}, nil, map[string]string{"kept.test": "kept\n"}},
		"no mirrors at all": {map[string]string{}, nil, map[string]string{"kept.test": "kept\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			certs, entrypoint := s.root+"/certs.d", s.root+"/dockerd-entrypoint.sh"
			if test.want["kept.test"] != "" {
				if err := os.MkdirAll(certs+"/kept.test", 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for path, text := range map[string]string{certs + "/kept.test/hosts.toml": "kept\n", entrypoint: ""} {
				if test.want["kept.test"] == "" && path != entrypoint {
					continue
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			var commands []string
			for _, command := range parseSource(t).Phases["build"].Commands {
				commands = append(commands, strings.NewReplacer("/etc/docker/certs.d", certs, "/usr/local/bin/dockerd-entrypoint.sh", entrypoint).Replace(command))
			}
			env := with(with(test.env, "BUILDKIT_HOST", ""), "CACHE", "none")
			notes := test.notes
			if env["BUILDX_BUILDER"] == "" {
				notes = append([]string{"so the Docker daemon builds"}, notes...)
			}
			ran := s.runCommands(t, commands, env, answer("'docker buildx create'*", 1, "no"))
			ran.works(t, notes...)
			// The firewall is of a machine that CodeBuild throws away, and of no other.
			guarded := 0
			for _, args := range ran.called("iptables") {
				if slices.Equal(args, []string{"-w", "10", "-I", "DOCKER-USER", "-d", "169.254.170.2", "-j", "REJECT"}) {
					guarded++
				}
			}
			if want := len(ran.called("iptables")) > 0; guarded > 1 || want != (env["DOCKER_HOST"] != "tcp://docker.test:2375") || want != (guarded == 1) {
				t.Errorf("iptables is called with %q", ran.called("iptables"))
			}
			got := map[string]string{}
			for host := range maps.Keys(map[string]bool{"docker.io": true, "quay.io": true, "kept.test": true}) {
				if text, err := os.ReadFile(certs + "/" + host + "/hosts.toml"); err == nil {
					got[host] = string(text)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("hosts.toml (-want +got):\n%s", diff)
			}
		})
	}
}

func hostsEntry(path string) string {
	return "[host.\"https://" + path + "\"]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = true\n"
}

// Where one mirror does not have BuildKit's image, or does not answer, the next
// one may, and Docker Hub last.
func TestTriesEveryMirrorForBuildKitsImage(t *testing.T) {
	const image = "/moby/buildkit:buildx-stable-1"
	env := map[string]string{"MIRRORS": "docker.io=public.ecr.aws/docker docker.io=a.test/x docker.io=b.test", "BUILDKIT_HOST": ""}
	fails := func(names string) string {
		return answer("'docker buildx create'*image="+names+"*", 1, "no such image")
	}
	for name, test := range map[string]struct {
		answers []string
		tried   []string
		notes   []string
	}{
		"the first has it":  {nil, []string{"a.test/x" + image}, nil},
		"the second has it": {[]string{fails("a.test")}, []string{"a.test/x" + image, "b.test" + image}, []string{"no container of a.test/x" + image + " starts: no such image"}},
		"Docker Hub has it": {[]string{fails("a.test"), fails("b.test")}, []string{"a.test/x" + image, "b.test" + image, image[1:]},
			[]string{"no container of a.test/x", "no container of b.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSource(t).run(t, env, test.answers...)
			got.works(t, test.notes...)
			var tried []string
			for _, create := range got.called("docker", "buildx", "create") {
				for _, arg := range create {
					if image, ok := strings.CutPrefix(arg, "image="); ok {
						tried = append(tried, image)
					}
				}
			}
			if diff := cmp.Diff(test.tried, tried); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}
