package buildspec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/codebuild-flex/flexbuild/internal/lazyregexp"
)

// CacheMode determines where a build keeps its layer cache.
type CacheMode string

const (
	CacheRegistry CacheMode = "registry" // in the stack's cache repository, all stages; the default
	CacheInline   CacheMode = "inline"   // inside the pushed image, final stage only
	CacheNone     CacheMode = "none"     // nowhere
)

// Provenance determines what an image's provenance attestation contains. With
// any attestation, the pushed image is an OCI index that has a new digest in
// each build.
type Provenance string

const (
	ProvenanceOff Provenance = ""    // no provenance; the default
	ProvenanceMin Provenance = "min" // materials and times, without build arguments and the Dockerfile
	ProvenanceMax Provenance = "max" // everything that BuildKit knows
)

// Params are the parameters of one build: what it builds and where it pushes.
// Tags is required. All other fields have a default.
type Params struct {
	// Tags are the names to push, each repository[:tag] without a registry. The
	// tag defaults to latest. The first name is that of the image. At least one
	// is required.
	Tags []string

	Registry string // the registry's host; default: the stack's
	Region   string // the registry's AWS region; default: the build's own
	Account  string // the registry's AWS account, 12 digits; default: the build's own

	Context    string            // the build context, a directory of the source; default "."
	Dockerfile string            // relative to Context; default "Dockerfile"
	Target     string            // the stage to build; default the last one
	BuildArgs  map[string]string // ARG values; not for secrets, the image's history shows them
	Labels     map[string]string // labels of the image
	Platforms  []string          // one os/arch[/variant]; default the build machine's

	Cache           CacheMode // default [CacheRegistry]
	CacheRepository string    // repository of [CacheRegistry]; default: the stack's

	// Secrets maps the ids that RUN --mount=type=secret,id=… reads to where the
	// secrets are kept in AWS. An id has letters, digits and _ . -. A value is
	// the path of a parameter of Systems Manager, which begins with a slash, or
	// names a secret of Secrets Manager as GitToken does (by its ARN if its
	// name begins with a slash). The build's role must be allowed to read it.
	// Secrets are neither in the image nor in its history. The default is none.
	Secrets map[string]string

	Pull    bool // look for newer versions of the base images
	NoCache bool // run every step again

	// Provenance and SBOM add attestations to the image. What is pushed is then
	// an OCI index that has another digest in each build, and that AWS Lambda
	// refuses.
	Provenance Provenance // default [ProvenanceOff]
	SBOM       bool       // list the packages of the image; default: no

	// SourceSHA256 means that the source which CodeBuild downloads has one
	// file, source.tar.gz. It is the SHA-256, in hex digits, of the tar archive
	// in that file. The build unpacks the archive if it has this digest, and
	// fails otherwise. By default, the build uses the source as CodeBuild
	// unpacked it.
	SourceSHA256 string

	GitURL string // clone this http(s) URL instead of using the source that CodeBuild downloaded
	GitRef string // its branch, tag or commit; default its HEAD

	// GitChecksum is a prefix of the commit's hash, 7 to 64 hex digits, with
	// which the commit must begin. It applies to every git source, whoever
	// downloads it. The default accepts any commit.
	GitChecksum string

	// GitToken is the name or ARN of a secret of Secrets Manager, optionally
	// followed by :json-key:version-stage:version-id. It authorizes the clone
	// of GitURL, over https. The secret is a token, or user:token. The build's
	// role must be allowed to read it. The default is none.
	GitToken string

	// RequestID and Metadata are for whoever starts the build and looks for it
	// later. The build itself ignores them. Everybody who may see the build
	// sees them.
	RequestID string            // 1 to 64 letters, digits and - _; default: none
	Metadata  map[string]string // labels of the build, not of its image; default: none
}

// VariableType determines what the value of a variable is.
type VariableType string

const (
	Plaintext      VariableType = "PLAINTEXT"
	SecretsManager VariableType = "SECRETS_MANAGER" // the name of a secret, whose content the build gets
	ParameterStore VariableType = "PARAMETER_STORE" // the name of a parameter of Systems Manager, whose content the build gets
)

// Variable is an environment variable of a build.
type Variable struct {
	Name, Value string
	Type        VariableType
}

// These are the names of the variables, in the order of docs/contract.md.
const (
	varTag             = "TAG"
	varRegistry        = "REGISTRY"
	varRegion          = "REGION"
	varAccount         = "ACCOUNT"
	varContext         = "CONTEXT"
	varDockerfile      = "DOCKERFILE"
	varTarget          = "TARGET"
	varBuildArgs       = "BUILD_ARGS"
	varLabels          = "LABELS"
	varPlatforms       = "PLATFORMS"
	varCache           = "CACHE"
	varCacheRepository = "CACHE_REPOSITORY"
	varSecrets         = "SECRETS"
	varPull            = "PULL"
	varNoCache         = "NO_CACHE"
	varProvenance      = "PROVENANCE"
	varSBOM            = "SBOM"
	varSourceSHA256    = "SOURCE_SHA256"
	varGitURL          = "GIT_URL"
	varGitRef          = "GIT_REF"
	varGitChecksum     = "GIT_CHECKSUM"
	varGitToken        = "GIT_TOKEN"
	varRequestID       = "REQUEST_ID"
	varMetadata        = "METADATA"
)

// VarRequestID is the variable of [Params.RequestID]. The runner finds a build
// by it if the answer of StartBuild was lost.
const VarRequestID = varRequestID

// SecretPrefix is the beginning of the name of a secret's variable. The
// secret's id follows, with _ in the place of - and of a dot.
const SecretPrefix = "SECRET_"

// These are the variables that a deployed stack sets on its project. Those from
// VarMirrors on are the stack's alone: [Params] has no field for them.
const (
	VarRegistry        = varRegistry
	VarCacheRepository = varCacheRepository
	VarMirrors         = "MIRRORS"              // host=registry/prefix, separated by spaces: images of host are pulled from there; several a host are tried in order
	VarBaseRegistries  = "BASE_REGISTRIES"      // ECR registries that base images come from, separated by spaces
	VarCreateOnPush    = "CREATE_ON_PUSH"       // prefixes of repositories that the first push creates, separated by spaces
	VarCacheExpiry     = "CACHE_EXPIRY_IN_DAYS" // the stack deletes a cache so many days after its last push
	VarBuilder         = "BUILDX_BUILDER"       // the builder of buildx to use, instead of one that the build starts and ends
)

// Environment returns the variables for p: one for each field that has another
// value than its default. Validate p first.
func (p Params) Environment() []Variable {
	all := p.variables()
	for _, id := range p.secretIDs() {
		all = append(all, Variable{Name: secretVariable(id), Value: p.Secrets[id]})
	}
	for i, v := range all {
		all[i].Type = typeOf(v)
	}
	return slices.DeleteFunc(all, func(v Variable) bool { return v.Value == "" })
}

func (p Params) secretIDs() []string { return slices.Sorted(maps.Keys(p.Secrets)) }

// secretVariable returns the name of a secret's variable. Names of variables
// have no - and no dot.
func secretVariable(id string) string {
	return SecretPrefix + strings.NewReplacer("-", "_", ".", "_").Replace(id)
}

func typeOf(v Variable) VariableType {
	isSecret := strings.HasPrefix(v.Name, SecretPrefix)
	switch {
	case isSecret && strings.HasPrefix(v.Value, "/"):
		return ParameterStore
	case isSecret, v.Name == varGitToken:
		return SecretsManager
	}
	return Plaintext
}

func (p Params) variables() []Variable {
	return []Variable{
		{Name: varTag, Value: strings.Join(p.Tags, " ")},
		{Name: varRegistry, Value: p.Registry},
		{Name: varRegion, Value: p.Region},
		{Name: varAccount, Value: p.Account},
		{Name: varContext, Value: p.Context},
		{Name: varDockerfile, Value: p.Dockerfile},
		{Name: varTarget, Value: p.Target},
		{Name: varBuildArgs, Value: encodePairs(p.BuildArgs)},
		{Name: varLabels, Value: encodePairs(p.Labels)},
		{Name: varPlatforms, Value: strings.Join(p.Platforms, ",")},
		{Name: varCache, Value: string(p.Cache)},
		{Name: varCacheRepository, Value: p.CacheRepository},
		{Name: varSecrets, Value: strings.Join(p.secretIDs(), " ")},
		{Name: varPull, Value: encodeSwitch(p.Pull)},
		{Name: varNoCache, Value: encodeSwitch(p.NoCache)},
		{Name: varProvenance, Value: string(p.Provenance)},
		{Name: varSBOM, Value: encodeSwitch(p.SBOM)},
		{Name: varSourceSHA256, Value: p.SourceSHA256},
		{Name: varGitURL, Value: p.GitURL},
		{Name: varGitRef, Value: p.GitRef},
		{Name: varGitChecksum, Value: p.GitChecksum},
		{Name: varGitToken, Value: p.GitToken},
		{Name: varRequestID, Value: p.RequestID},
		{Name: varMetadata, Value: encodePairs(p.Metadata)},
	}
}

// ParseParams parses a build's environment. It ignores variables that are not
// part of the contract.
func ParseParams(env map[string]string) (Params, error) {
	args, errArgs := decodePairs(varBuildArgs, env[varBuildArgs])
	labels, errLabels := decodePairs(varLabels, env[varLabels])
	metadata, errMetadata := decodePairs(varMetadata, env[varMetadata])
	pull, errPull := decodeSwitch(varPull, env[varPull])
	noCache, errNoCache := decodeSwitch(varNoCache, env[varNoCache])
	sbom, errSBOM := decodeSwitch(varSBOM, env[varSBOM])
	p := Params{
		Tags:            strings.Fields(env[varTag]),
		Registry:        env[varRegistry],
		Region:          env[varRegion],
		Account:         env[varAccount],
		Context:         env[varContext],
		Dockerfile:      env[varDockerfile],
		Target:          env[varTarget],
		BuildArgs:       args,
		Labels:          labels,
		Platforms:       splitList(env[varPlatforms]),
		Cache:           CacheMode(env[varCache]),
		CacheRepository: env[varCacheRepository],
		Secrets:         secretsOf(env),
		Pull:            pull,
		NoCache:         noCache,
		Provenance:      decodeProvenance(env[varProvenance]),
		SBOM:            sbom,
		SourceSHA256:    env[varSourceSHA256],
		GitURL:          env[varGitURL],
		GitRef:          env[varGitRef],
		GitChecksum:     env[varGitChecksum],
		GitToken:        env[varGitToken],
		RequestID:       env[varRequestID],
		Metadata:        metadata,
	}
	if err := errors.Join(errArgs, errLabels, errMetadata, errPull, errNoCache, errSBOM); err != nil {
		return Params{}, err
	}
	return p, p.Validate()
}

func secretsOf(env map[string]string) map[string]string {
	var secrets map[string]string
	for _, id := range strings.Fields(env[varSecrets]) {
		if secrets == nil {
			secrets = map[string]string{}
		}
		secrets[id] = env[secretVariable(id)]
	}
	return secrets
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// These are the forms of values. The script checks those that it depends on
// again, because it also serves callers that do not use this package.
var (
	repositoryForm = lazyregexp.New(`^` + repositoryName + `$`)
	tagForm        = lazyregexp.New(`^` + repositoryName + `(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$`)
	registryForm   = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?$`)
	regionForm     = lazyregexp.New(`^[a-z0-9-]+$`)
	accountForm    = lazyregexp.New(`^[0-9]{12}$`)
	platformForm   = lazyregexp.New(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$`)
	sha256Form     = lazyregexp.New(`^[0-9a-f]{64}$`)
	gitURLForm     = lazyregexp.New(`^https?://[^\s\x00-\x1f\x7f/@\[\]]+(/[^\s\x00-\x1f\x7f]*)?$`)
	secretIDForm   = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	parameterForm  = lazyregexp.New(`^(/[A-Za-z0-9_.-]+)+$`)
	secretForm     = lazyregexp.New(`^(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@-]+(:[A-Za-z0-9/_+=.@-]*){0,3}$`)
	requestIDForm  = lazyregexp.New(`^[A-Za-z0-9_-]{1,64}$`)
	checksumForm   = lazyregexp.New(`^[0-9a-f]{7,64}$`)
	gitRefForm     = lazyregexp.New(`^[^\s\x00-\x1f\x7f~^:?*\[\]\\+-][^\s\x00-\x1f\x7f~^:?*\[\]\\]*$`)
)

// gitTokenURLForm matches the URLs to which a token may be sent: never in clear
// text over a network.
var gitTokenURLForm = lazyregexp.New(`^(https://[^/]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)(/|$)`)

const repositoryName = `[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*`

// Validate returns an error for everything that is wrong with p. Each problem
// names the variable, the value and what would be right.
func (p Params) Validate() error {
	errs := []error{
		p.validateTags(),
		check(varRegistry, p.Registry, registryForm, "a host such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
		check(varRegion, p.Region, regionForm, "an AWS region such as eu-west-1"),
		check(varAccount, p.Account, accountForm, "an AWS account id of 12 digits"),
		checkPath(varContext, p.Context),
		checkPath(varDockerfile, p.Dockerfile),
		checkText(varTarget, p.Target),
		checkPairs(varBuildArgs, p.BuildArgs),
		checkPairs(varLabels, p.Labels),
		checkPairs(varMetadata, p.Metadata),
		check(varRequestID, p.RequestID, requestIDForm, "an id of 1 to 64 letters, digits and - _"),
		p.validatePlatforms(),
		p.validateCache(),
		p.validateProvenance(),
		check(varCacheRepository, p.CacheRepository, repositoryForm, "a repository name such as team/cache"),
		check(varSourceSHA256, p.SourceSHA256, sha256Form, "a SHA-256 of 64 hex digits"),
		p.validateSecrets(),
		p.validateGit(),
	}
	for _, v := range p.Environment() {
		if n := utf8.RuneCountInString(v.Value); n > MaxValueLength {
			errs = append(errs, fmt.Errorf("%s: its value has %d characters, an environment variable of a build holds at most %d: put the rest into a file of the source", v.Name, n, MaxValueLength))
		}
	}
	return errors.Join(errs...)
}

func (p Params) validateTags() error {
	if len(p.Tags) == 0 {
		return fmt.Errorf("%s: no tag given: name the image, for example app:1", varTag)
	}
	var errs []error
	for _, tag := range p.Tags {
		if !tagForm().MatchString(tag) {
			errs = append(errs, fmt.Errorf("%s: %q is not repository[:tag]: lower-case letters, digits and . _ - / in the repository, at most 128 letters, digits and . _ - in the tag, no registry", varTag, clip(tag)))
		}
	}
	return errors.Join(errs...)
}

func (p Params) validatePlatforms() error {
	if len(p.Platforms) > 1 {
		return fmt.Errorf("%s: %q: one platform a build for now", varPlatforms, strings.Join(p.Platforms, ","))
	}
	for _, platform := range p.Platforms {
		if err := check(varPlatforms, platform, platformForm, "os/arch such as linux/arm64"); err != nil {
			return err
		}
	}
	return nil
}

func (p Params) validateCache() error {
	switch p.Cache {
	case "", CacheRegistry, CacheInline, CacheNone:
		return nil
	}
	return fmt.Errorf("%s: %q: use registry, inline or none", varCache, clip(string(p.Cache)))
}

func (p Params) validateProvenance() error {
	switch p.Provenance {
	case ProvenanceOff, ProvenanceMin, ProvenanceMax:
		return nil
	}
	return fmt.Errorf("%s: %q: use off, min or max", varProvenance, clip(string(p.Provenance)))
}

// validateSecrets never quotes a wrong value, because it may be the secret
// itself.
func (p Params) validateSecrets() error {
	var errs []error
	ids := map[string]string{} // by variable
	for _, id := range p.secretIDs() {
		if isToken(id) {
			errs = append(errs, fmt.Errorf("%s: an id looks like a token: give a name that the Dockerfile asks for, %s", varSecrets, revoke))
			continue
		}
		if isToken(p.Secrets[id]) {
			errs = append(errs, fmt.Errorf("%s: %q: that looks like the token itself, not its name: %s", varSecrets, id, revoke))
			continue
		}
		if !secretIDForm().MatchString(id) {
			errs = append(errs, fmt.Errorf("%s: %q is not an id: letters, digits and _ . -", varSecrets, clip(id)))
		}
		if other, found := ids[secretVariable(id)]; found {
			errs = append(errs, fmt.Errorf("%s: %q and %q would share the variable %s: rename one of them", varSecrets, other, id, secretVariable(id)))
		}
		ids[secretVariable(id)] = id
		if value := p.Secrets[id]; !secretForm().MatchString(value) && !parameterForm().MatchString(value) {
			errs = append(errs, fmt.Errorf("%s: %q: give the name or the ARN of a secret in Secrets Manager, or the path of a parameter in Systems Manager, not the secret itself", varSecrets, clip(id)))
		}
	}
	return errors.Join(errs...)
}

// revoke is the advice for callers who wrote a token where the name of a secret
// belongs.
const revoke = "put the token into a secret of Secrets Manager, give that secret's name or ARN, and revoke the token if others can read where it was written"

// tokenForm matches the tokens of well-known services, which begin with a mark
// of the service. Their characters alone would make them valid names of
// secrets.
var tokenForm = lazyregexp.New(`(^|:)(` + strings.Join([]string{
	`gh[oprsu]_[A-Za-z0-9]{16,}`, `github_pat_[A-Za-z0-9_]{16,}`, // GitHub
	`gl(pat|dt|rt|cbt|ptt|ft|soat|imt|agent|ffct)-[A-Za-z0-9_.-]{16,}`, // GitLab
	`(AKIA|ASIA)[A-Z0-9]{16}`,                                                          // AWS
	`npm_[A-Za-z0-9]{36}`, `pypi-[A-Za-z0-9_-]{50,}`, `dckr_[a-z]+_[A-Za-z0-9_-]{20,}`, // registries
	`xox[a-z]-[A-Za-z0-9-]{10,}`, `xapp-[A-Za-z0-9-]{10,}`, // Slack
	`(sk|rk|pk)[-_]([a-z0-9]+[-_])*[A-Za-z0-9]{20,}[A-Za-z0-9_-]*`, // Stripe, OpenAI, Anthropic
	`hf_[A-Za-z0-9]{30,}`, `AIza[A-Za-z0-9_-]{35}`, `AT(ATT|BB|CTT)[A-Za-z0-9_=.-]{20,}`, // Hugging Face, Google, Atlassian
	`eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_.-]{10,}`, // any JSON web token
}, `|`) + `)(:|$)`)

func isToken(value string) bool { return tokenForm().MatchString(value) }

// validateGit never quotes a wrong URL or token, because it may be a secret.
func (p Params) validateGit() error {
	if isToken(p.GitToken) {
		return fmt.Errorf("%s: that looks like the token itself, not its name: %s", varGitToken, revoke)
	}
	if p.GitURL == "" && p.GitRef != "" {
		return fmt.Errorf("%s: %q: a ref without %s", varGitRef, clip(p.GitRef), varGitURL)
	}
	if p.GitURL != "" && !gitURLForm().MatchString(p.GitURL) {
		return fmt.Errorf("%s: give an http or https URL without credentials in it", varGitURL)
	}
	if p.GitToken != "" && !gitTokenURLForm().MatchString(p.GitURL) {
		return fmt.Errorf("%s: it is sent over https only, for a %s", varGitToken, varGitURL)
	}
	if p.GitToken != "" && !secretForm().MatchString(p.GitToken) {
		return fmt.Errorf("%s: give the name or the ARN of a secret in Secrets Manager, not a token", varGitToken)
	}
	return errors.Join(
		check(varGitRef, p.GitRef, gitRefForm, "a branch, a tag or a commit"),
		check(varGitChecksum, p.GitChecksum, checksumForm, "the beginning of a commit's hash, 7 to 64 hex digits"),
	)
}

// check accepts the empty value, which means the default.
func check(name, value string, form func() *regexp.Regexp, want string) error {
	if value == "" || form().MatchString(value) {
		return nil
	}
	return fmt.Errorf("%s: %q is not %s", name, clip(value), want)
}

func checkText(name, value string) error {
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return fmt.Errorf("%s: %q is not UTF-8 text without NUL", name, clip(value))
	}
	return nil
}

// checkPath refuses a path that leads out of the source whatever the source
// contains. The build itself finds links that lead out.
func checkPath(name, value string) error {
	depth := 0
	for part := range strings.SplitSeq(value, "/") {
		switch part {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 && name == varContext {
			return fmt.Errorf("%s: %q leads out of the source: name a directory inside it", name, clip(value))
		}
	}
	if strings.HasPrefix(value, "/") {
		return fmt.Errorf("%s: %q is an absolute path: name it relative to the source", name, clip(value))
	}
	return checkText(name, value)
}

func checkPairs(name string, pairs map[string]string) error {
	var errs []error
	for key, value := range pairs {
		if key == "" || strings.Contains(key, "=") {
			errs = append(errs, fmt.Errorf("%s: %q is not a name: it must not be empty or contain =", name, clip(key)))
		}
		errs = append(errs, checkText(name, key), checkText(name, value))
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return errors.Join(errs...)
}

// clip shortens a value for an error.
func clip(value string) string {
	const most = 200
	if len(value) <= most {
		return value
	}
	return value[:most] + "…"
}

func encodeSwitch(on bool) string {
	if on {
		return "on"
	}
	return ""
}

// decodeProvenance accepts off, which is the name of the default.
func decodeProvenance(value string) Provenance {
	if value == "off" {
		return ProvenanceOff
	}
	return Provenance(value)
}

func decodeSwitch(name, value string) (bool, error) {
	switch value {
	case "on":
		return true, nil
	case "", "off":
		return false, nil
	}
	return false, fmt.Errorf("%s: %q: use on or off", name, clip(value))
}

// encodePairs encodes pairs as application/x-www-form-urlencoded, sorted by
// name. Bash can decode that without an interpreter of its own.
func encodePairs(pairs map[string]string) string {
	values := make(url.Values, len(pairs))
	for name, value := range pairs {
		values.Set(name, value)
	}
	return values.Encode()
}

func decodePairs(name, text string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("%s: not application/x-www-form-urlencoded: %w", name, err)
	}
	if len(values) == 0 {
		return nil, nil
	}
	pairs := make(map[string]string, len(values))
	for key, all := range values {
		pairs[key] = all[len(all)-1]
	}
	return pairs, nil
}
