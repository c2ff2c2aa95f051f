package buildspec

import (
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestWhichRegistryABuildPushesTo(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"the stack's":                     {map[string]string{"REGISTRY": "r.test"}, "r.test"},
		"with a port":                     {map[string]string{"REGISTRY": "r.test:5000"}, "r.test:5000"},
		"the build's own without one":     {map[string]string{"REGISTRY": ""}, "123456789012.dkr.ecr.eu-west-1.amazonaws.com"},
		"the build's own, named":          {map[string]string{"REGION": "eu-west-1", "ACCOUNT": "123456789012"}, "r.test"},
		"another region":                  {map[string]string{"REGION": "us-east-1"}, "123456789012.dkr.ecr.us-east-1.amazonaws.com"},
		"another account":                 {map[string]string{"ACCOUNT": "210987654321"}, "210987654321.dkr.ecr.eu-west-1.amazonaws.com"},
		"another account, and the region": {map[string]string{"ACCOUNT": "210987654321", "REGION": "eu-west-1"}, "210987654321.dkr.ecr.eu-west-1.amazonaws.com"},
		"China":                           {map[string]string{"REGION": "cn-north-1"}, "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSource(t).run(t, test.env)
			if pushed := got.option(t, "--tag"); pushed != test.want+"/app:1" {
				t.Errorf("a push to %q, want %s/app:1\n%s", pushed, test.want, got.output)
			}
			if want := test.want + "/app@" + testDigest; got.exported[varImageURI] != want {
				t.Errorf("exported %q, want %q", got.exported[varImageURI], want)
			}
			region := orDefault(test.env["REGION"], "eu-west-1")
			for _, args := range got.called("aws", "ecr", "describe-repositories") {
				if args[1] != region || args[3] != orDefault(test.env["ACCOUNT"], "123456789012") {
					t.Errorf("the repository is looked for with %q", args)
				}
			}
			logins := []string{region + " " + test.want}
			if strings.Contains(name, "another") || name == "China" { // the cache stays in the stack's registry
				logins = append(logins, region+" r.test")
			}
			if diff := cmp.Diff(logins, got.logins()); diff != "" {
				t.Errorf("logins (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusesAVariable(t *testing.T) {
	for name, test := range map[string]struct {
		env  map[string]string
		says string
	}{
		"no TAG":                         {map[string]string{"TAG": ""}, "TAG: give at least one"},
		"an empty list of tags":          {map[string]string{"TAG": " \n\t"}, "TAG: give at least one"},
		"a reference in upper case":      {map[string]string{"TAG": "UPPER:1"}, `TAG: "UPPER:1"`},
		"a second reference":             {map[string]string{"TAG": "app:1 app:-1"}, `TAG: "app:-1"`},
		"a registry in a reference":      {map[string]string{"TAG": "r.test:5000/app:1"}, `TAG: "r.test:5000/app:1"`},
		"a digest in a reference":        {map[string]string{"TAG": "app@" + testDigest}, `TAG: "app@sha256:`},
		"a tag of 129 characters":        {map[string]string{"TAG": "app:" + strings.Repeat("x", 129)}, "TAG: "},
		"the repository of caches":       {map[string]string{"TAG": "app:1 cache:x"}, `TAG: "cache:x" names the repository of caches`},
		"the repository of caches bare":  {map[string]string{"TAG": "team/cache", "CACHE_REPOSITORY": "team/cache"}, `TAG: "team/cache" names the repository of caches`},
		"a line break in REGION":         {map[string]string{"REGION": "a\n[flexbuild " + testID + "] end"}, `REGION: "a [flexbuild`},
		"a REGION in upper case":         {map[string]string{"REGION": "EU"}, `REGION: "EU"`},
		"a REGION that is a host":        {map[string]string{"REGION": "evil.example/"}, `REGION: "evil.example/"`},
		"an ACCOUNT of 11 digits":        {map[string]string{"ACCOUNT": "12345678901"}, `ACCOUNT: "12345678901"`},
		"an ACCOUNT of 13 digits":        {map[string]string{"ACCOUNT": "1234567890123"}, `ACCOUNT: "1234567890123"`},
		"an ACCOUNT of letters":          {map[string]string{"ACCOUNT": "example.com/"}, `ACCOUNT: "example.com/"`},
		"a REGISTRY with a path":         {map[string]string{"REGISTRY": "r.test/x"}, `REGISTRY: "r.test/x"`},
		"a REGISTRY that is a URL":       {map[string]string{"REGISTRY": "https://r.test"}, `REGISTRY: "https://r.test"`},
		"a REGISTRY that is an option":   {map[string]string{"REGISTRY": "-r"}, `REGISTRY: "-r"`},
		"a REGISTRY with a bad port":     {map[string]string{"REGISTRY": "r.test:x"}, `REGISTRY: "r.test:x"`},
		"a cache with a tag":             {map[string]string{"CACHE_REPOSITORY": "cache:x"}, `CACHE_REPOSITORY: "cache:x"`},
		"a cache with options":           {map[string]string{"CACHE_REPOSITORY": "cache,mode=min"}, `CACHE_REPOSITORY: "cache,mode=min"`},
		"a cache in upper case":          {map[string]string{"CACHE_REPOSITORY": "Cache"}, `CACHE_REPOSITORY: "Cache"`},
		"a cache that begins with /":     {map[string]string{"CACHE_REPOSITORY": "/cache"}, `CACHE_REPOSITORY: "/cache"`},
		"another cache mode":             {map[string]string{"CACHE": "gha"}, `CACHE: "gha"`},
		"a cache mode and more":          {map[string]string{"CACHE": "nonesuch"}, `CACHE: "nonesuch"`},
		"PULL=yes":                       {map[string]string{"PULL": "yes"}, `PULL: "yes"`},
		"NO_CACHE=1":                     {map[string]string{"NO_CACHE": "1"}, `NO_CACHE: "1"`},
		"PROVENANCE=on":                  {map[string]string{"PROVENANCE": "on"}, `PROVENANCE: "on"`},
		"PROVENANCE with options":        {map[string]string{"PROVENANCE": "max,builder-id=x"}, `PROVENANCE: "max,builder-id=x"`},
		"SBOM=true":                      {map[string]string{"SBOM": "true"}, `SBOM: "true"`},
		"a short SOURCE_SHA256":          {map[string]string{"SOURCE_SHA256": strings.Repeat("a", 63)}, "SOURCE_SHA256: "},
		"two sources":                    {map[string]string{"SOURCE_SHA256": strings.Repeat("a", 64), "GIT_URL": "https://h.test/x.git"}, "SOURCE_SHA256: GIT_URL names another source"},
		"a long SOURCE_SHA256":           {map[string]string{"SOURCE_SHA256": strings.Repeat("a", 65)}, "SOURCE_SHA256: "},
		"SOURCE_SHA256 in upper case":    {map[string]string{"SOURCE_SHA256": strings.Repeat("A", 64)}, "SOURCE_SHA256: "},
		"SOURCE_SHA256 with a scheme":    {map[string]string{"SOURCE_SHA256": testDigest}, "SOURCE_SHA256: "},
		"a GIT_CHECKSUM of 6 digits":     {map[string]string{"GIT_CHECKSUM": "abcdef"}, `GIT_CHECKSUM: "abcdef"`},
		"a GIT_CHECKSUM of 65 digits":    {map[string]string{"GIT_CHECKSUM": strings.Repeat("a", 65)}, "GIT_CHECKSUM: "},
		"a GIT_CHECKSUM of a pattern":    {map[string]string{"GIT_CHECKSUM": "???????"}, `GIT_CHECKSUM: "???????"`},
		"two platforms":                  {map[string]string{"PLATFORMS": "linux/amd64,linux/arm64"}, `PLATFORMS: "linux/amd64,linux/arm64"`},
		"a platform of four parts":       {map[string]string{"PLATFORMS": "a/b/c/d"}, `PLATFORMS: "a/b/c/d"`},
		"a path for a platform":          {map[string]string{"PLATFORMS": "/amd64"}, `PLATFORMS: "/amd64"`},
		"pairs that are not encoded":     {map[string]string{"BUILD_ARGS": "A=b c"}, "BUILD_ARGS: "},
		"half an escape":                 {map[string]string{"BUILD_ARGS": "A=%4"}, "BUILD_ARGS: "},
		"an escape that is no number":    {map[string]string{"BUILD_ARGS": "A=%zz"}, "BUILD_ARGS: "},
		"a backslash in pairs":           {map[string]string{"LABELS": `A=\x41`}, "LABELS: "},
		"a name without a value":         {map[string]string{"LABELS": "A=1&B"}, `LABELS: "B" is not name=value`},
		"a value without a name":         {map[string]string{"BUILD_ARGS": "=x"}, `BUILD_ARGS: "=x" is not name=value`},
		"no name, and a value with =":    {map[string]string{"BUILD_ARGS": "==x"}, `BUILD_ARGS: "==x" is not name=value`},
		"a name that begins with =":      {map[string]string{"BUILD_ARGS": "%3Da=x"}, `BUILD_ARGS: "%3Da=x" is not name=value`},
		"a name with =":                  {map[string]string{"LABELS": "a%3db=x"}, `LABELS: "a%3db=x" is not name=value`},
		"NUL in a pair":                  {map[string]string{"LABELS": "A=%00"}, "LABELS: %00"},
		"a secret's id":                  {map[string]string{"SECRETS": "a,src=/etc/passwd", "SECRET_a": "x"}, `SECRETS: "a,src=/etc/passwd"`},
		"an id that is an option":        {map[string]string{"SECRETS": "-a", "SECRET__a": "x"}, `SECRETS: "-a"`},
		"a secret that is absent":        {map[string]string{"SECRETS": "a b-c.d", "SECRET_a": "x"}, "SECRETS: there is no SECRET_b_c_d"},
		"a secret that is empty":         {map[string]string{"SECRETS": "a", "SECRET_a": ""}, "SECRETS: there is no SECRET_a"},
		"a mirror without a host":        {map[string]string{"MIRRORS": "r.test/hub"}, `MIRRORS: "r.test/hub"`},
		"a mirror that is TOML":          {map[string]string{"MIRRORS": `docker.io=r.test"]`}, "MIRRORS: "},
		"the second mirror":              {map[string]string{"MIRRORS": "docker.io=r.test docker.io=https://r.test"}, `MIRRORS: "docker.io=https://r.test"`},
		"a registry that is an option":   {map[string]string{"BASE_REGISTRIES": "--password-stdin"}, "BASE_REGISTRIES: "},
		"the second base registry":       {map[string]string{"BASE_REGISTRIES": "a.test b.test/x"}, `BASE_REGISTRIES: "b.test/x"`},
		"prefixes that are patterns":     {map[string]string{"CREATE_ON_PUSH": "team/ *"}, `CREATE_ON_PUSH: "team/ *"`},
		"a prefix in upper case":         {map[string]string{"CREATE_ON_PUSH": "Team"}, `CREATE_ON_PUSH: "Team"`},
		"a backslash in TAG":             {map[string]string{"TAG": `a\pp:1`}, `TAG: "a\pp:1"`},
		"a backslash in MIRRORS":         {map[string]string{"MIRRORS": `docker.io=r.t\est`}, `MIRRORS: "docker.io=r.t\est"`},
		"a backslash in BASE_REGISTRIES": {map[string]string{"BASE_REGISTRIES": `r.t\est`}, `BASE_REGISTRIES: "r.t\est"`},
		"a backslash in SECRETS":         {map[string]string{"SECRETS": `a\b`, "SECRET_ab": "x"}, `SECRETS: "a\b"`},
		"a tab between tags":             {map[string]string{"TAG": "app:1\tapp:2"}, "TAG: put spaces between the tags"},
		"a line break between tags":      {map[string]string{"TAG": "app:1\napp:2"}, "TAG: put spaces between the tags"},
		"a pattern in TAG":               {map[string]string{"TAG": "app?"}, `TAG: "app?"`},
		"a pattern in MIRRORS":           {map[string]string{"MIRRORS": "docker.io=r.tes?"}, `MIRRORS: "docker.io=r.tes?"`},
		"a pattern in BASE_REGISTRIES":   {map[string]string{"BASE_REGISTRIES": "r.tes?"}, `BASE_REGISTRIES: "r.tes?"`},
		"a pattern in SECRETS":           {map[string]string{"SECRETS": "app?", "SECRET_apps": "x"}, `SECRETS: "app?"`},
		"GIT_REF alone":                  {map[string]string{"GIT_REF": "main"}, "GIT_REF: it goes with GIT_URL"},
		"git over another protocol":      {map[string]string{"GIT_URL": "ext::sh -c id"}, "GIT_URL: "},
		"git over ssh":                   {map[string]string{"GIT_URL": "ssh://git@h/x.git"}, "GIT_URL: "},
		"git from a file":                {map[string]string{"GIT_URL": "file:///etc"}, "GIT_URL: "},
		"a scheme in upper case":         {map[string]string{"GIT_URL": "HTTPS://h/x.git"}, "GIT_URL: "},
		"a password in a URL":            {map[string]string{"GIT_URL": "https://u:hunter2@h/x.git"}, "GIT_URL: "},
		"a user in a URL":                {map[string]string{"GIT_URL": "https://hunter2@h/x.git"}, "GIT_URL: "},
		"a space in a URL":               {map[string]string{"GIT_URL": "https://h/x y"}, "GIT_URL: "},
		"a ref that is an option":        {map[string]string{"GIT_URL": "http://127.0.0.1:1/x.git", "GIT_REF": "--upload-pack=id"}, "GIT_REF: "},
		"a ref that is a refspec":        {map[string]string{"GIT_URL": "http://127.0.0.1:1/x.git", "GIT_REF": "+a:b"}, "GIT_REF: "},
		"a ref with a colon":             {map[string]string{"GIT_URL": "http://127.0.0.1:1/x.git", "GIT_REF": "a:b"}, "GIT_REF: "},
		"a ref that is a pattern":        {map[string]string{"GIT_URL": "http://127.0.0.1:1/x.git", "GIT_REF": "v*"}, "GIT_REF: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			s.place(t, "apps", "r.test", "docker.io=r.test") // as patterns find them
			got := s.run(t, test.env)
			got.fails(t, ExitParameter, test.says)
			if strings.Contains(got.output, "hunter2") {
				t.Errorf("output contains the password:\n%s", got.output)
			}
		})
	}
}

// A value that is more than one word, the second of them a pattern, is refused
// as any other that is not of the variable's form.
func TestRefusesVariablesOfTwoWords(t *testing.T) {
	for _, name := range []string{
		"REGION", "ACCOUNT", "REGISTRY", "CACHE_REPOSITORY", "CACHE", "PLATFORMS", "PULL", "NO_CACHE", "PROVENANCE", "SBOM", "SOURCE_SHA256", "GIT_CHECKSUM",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newSource(t).run(t, map[string]string{name: "a .*"}).fails(t, ExitParameter, name+`: "a .*" is not of the form `)
		})
	}
}

func TestTakesEachFormOfAVariable(t *testing.T) {
	for name, test := range map[string]struct {
		env          map[string]string
		option, want string
	}{
		"REGISTRY with a port":             {map[string]string{"REGISTRY": "localhost:5000"}, "--tag", "localhost:5000/app:1"},
		"a repository with all separators": {map[string]string{"TAG": "a.b_c-d/e0/f:X_y.z-1"}, "--tag", "r.test/a.b_c-d/e0/f:X_y.z-1"},
		"a tag of 128 characters":          {map[string]string{"TAG": "app:" + strings.Repeat("x", 128)}, "--tag", "r.test/app:" + strings.Repeat("x", 128)},
		"a repository like the cache's":    {map[string]string{"TAG": "cache2:1"}, "--tag", "r.test/cache2:1"},
		"PROVENANCE=off":                   {map[string]string{"PROVENANCE": "off"}, "--provenance", "false"},
		"PROVENANCE=min":                   {map[string]string{"PROVENANCE": "min"}, "--provenance", "mode=min"},
		"PROVENANCE=max":                   {map[string]string{"PROVENANCE": "max"}, "--provenance", "mode=max"},
		"SBOM=off":                         {map[string]string{"SBOM": "off"}, "--sbom", "false"},
		"SBOM=on":                          {map[string]string{"SBOM": "on"}, "--sbom", "true"},
		"a platform without a system":      {map[string]string{"PLATFORMS": "amd64"}, "--platform", "amd64"},
		"a platform in another form":       {map[string]string{"PLATFORMS": "linux/x86_64"}, "--platform", "linux/x86_64"},
		"empty pairs":                      {map[string]string{"BUILD_ARGS": "&A=1&&"}, "--build-arg", "A=1"},
		"a value with =":                   {map[string]string{"BUILD_ARGS": "A==b="}, "--build-arg", "A==b="},
		"an id of a secret":                {map[string]string{"SECRETS": "aws.config-file", "SECRET_aws_config_file": "x"}, "--secret", "id=aws.config-file,env=SECRET_aws_config_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newSource(t).run(t, test.env)
			if value := got.option(t, test.option); value != test.want {
				t.Errorf("%s=%q, want %q", test.option, value, test.want)
			}
		})
	}
}

func TestSwitchesThatAreOff(t *testing.T) {
	got := newSource(t).run(t, map[string]string{"PULL": "off", "NO_CACHE": "off"})
	got.works(t)
	for _, option := range []string{"--pull", "--no-cache"} {
		if slices.Contains(got.builds()[0], option) {
			t.Errorf("buildx gets %s", option)
		}
	}
}

// quotePlus encodes as Python's urllib.parse.quote_plus does: it leaves
// letters, digits and _ . - ~ alone.
func quotePlus(text string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
		}
	}
	return b.String()
}

// loosePlus encodes only what a form needs, in lower case.
func loosePlus(text string) string {
	loose := url.QueryEscape(text)
	for _, c := range "*~" {
		loose = strings.ReplaceAll(loose, url.QueryEscape(string(c)), string(c))
	}
	return strings.ReplaceAll(strings.ReplaceAll(loose, "%2F", "%2f"), "%3D", "=")
}

// chunks returns every character below U+3000 but NUL, and of those above one
// in 97, a chunk for each variable of a build that can carry it.
func chunks() []string {
	const most = 120_000 / 12 // an environment variable has at most 128 KiB, a code point at most 12 characters
	var text []rune
	for r := rune(1); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) && (r < 0x3000 || r%97 == 0) {
			text = append(text, r)
		}
	}
	var all []string
	for chunk := range slices.Chunk(text, most) {
		all = append(all, string(chunk))
	}
	return all
}

// pairs cuts a text into values of a form, in order, with an encoding.
func pairs(text string, encode func(string) string) (form string, values []string) {
	var b strings.Builder
	for i, value := range slices.Collect(slices.Chunk([]rune(text), 500)) {
		name := "N" + strings.Repeat("~", i)
		values = append(values, name+"="+string(value))
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(encode(name) + "=" + encode(string(value)))
	}
	return b.String(), values
}

func TestTextOfAnyScriptReachesBuildx(t *testing.T) {
	all := chunks()
	for i := 0; i < len(all); i += 2 {
		t.Run(all[i][:1], func(t *testing.T) {
			t.Parallel()
			args, wantArgs := pairs(all[i], url.QueryEscape)
			labels, wantLabels := pairs(all[(i+1)%len(all)], quotePlus)
			got := newSource(t).run(t, map[string]string{"BUILD_ARGS": args, "LABELS": labels, "CACHE": "none"})
			got.passes(t, wantArgs, wantLabels)
		})
	}
}

// passes checks which build arguments and labels buildx gets, in order.
func (r ran) passes(t testing.TB, args, labels []string) {
	t.Helper()
	if len(r.builds()) != 1 {
		t.Fatalf("builds %q\n%s", r.builds(), r.output)
	}
	var gotArgs, gotLabels []string
	for _, arg := range r.builds()[0] {
		if value, found := strings.CutPrefix(arg, "--build-arg="); found {
			gotArgs = append(gotArgs, value)
		}
		if value, found := strings.CutPrefix(arg, "--label="); found {
			gotLabels = append(gotLabels, value)
		}
	}
	if !slices.Equal(args, gotArgs) || !slices.Equal(labels, gotLabels) {
		t.Errorf("buildx gets other values (-want +got):\n%s%s", cmp.Diff(args, gotArgs), cmp.Diff(labels, gotLabels))
	}
}

// Encodings of form data differ in what they leave alone, and a byte need not
// be text. The language of whoever starts the build must not matter.
func TestAllBytesInAllEncodingsReachBuildx(t *testing.T) {
	var bytes []byte
	for c := 1; c < 256; c++ {
		bytes = append(bytes, byte(c))
	}
	texts := []string{string(bytes), "~*+%&=?#", "a\nb\r\n\tc\n", `'"\$(touch canary)` + "`touch canary`", `\x41\101\u0041\c`, "%41%%%2", "*", "é\xff\xfe\xc3", " ", "\n"}
	for encoding, encode := range map[string]func(string) string{"Go": url.QueryEscape, "Python": quotePlus, "loose": loosePlus} {
		for _, lang := range []string{"en_US.UTF-8", "C.UTF-8", ""} {
			t.Run(encoding+"/"+lang, func(t *testing.T) {
				t.Parallel()
				var form, want []string
				for _, text := range texts {
					want = append(want, "~N~="+text)
					form = append(form, encode("~N~")+"="+encode(text))
				}
				s := newSource(t)
				s.write(t, "~N~=x") // as the pattern ~N~=* finds it
				env := map[string]string{"BUILD_ARGS": strings.Join(form, "&"), "LABELS": strings.Join(form, "&")}
				if lang != "" {
					maps.Copy(env, map[string]string{"LANG": lang, "LC_ALL": lang})
				}
				got := s.run(t, env)
				got.passes(t, want, want)
				s.untouched(t)
				if _, err := os.Stat(s.source + "/canary"); err == nil {
					t.Error("a value was run as code")
				}
			})
		}
	}
}
