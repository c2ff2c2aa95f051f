package ecr

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/codebuild-flex/flexbuild/local/internal/transcript"
)

// exchange is a request of the distribution protocol and its answer, as the
// transcript has it.
type exchange struct {
	Status  int
	Headers map[string]string
	Body    string
}

func (b *bench) exchange(tr *transcript.Transcript, auth authn.Authenticator, method, url, body string, header ...string) *http.Response {
	b.t.Helper()
	resp, text := b.do(auth, method, url, body, header...)
	e := exchange{Status: resp.StatusCode, Headers: map[string]string{}, Body: text}
	for name := range resp.Header {
		if name != "Date" && name != "X-Amzn-Requestid" {
			e.Headers[name] = resp.Header.Get(name)
		}
	}
	tr.Add(strings.Join(append([]string{method, strings.TrimPrefix(url, b.http.URL)}, header...), " "), e, nil)
	return resp
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

func descriptorOf(mediaType, text string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, sum(text), len(text))
}

// manifestOf is an image manifest with the config "{}" and a layer.
func manifestOf(layer, more string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, imageType,
		descriptorOf("application/vnd.oci.image.config.v1+json", "{}"), descriptorOf("application/vnd.oci.image.layer.v1.tar", layer), more)
}

// Requests of the protocol are answered as the file says, header by header.
func TestAnswersOfTheProtocol(t *testing.T) {
	b, tr := newBench(t), transcript.New()
	tr.Replace(b.host, "HOST")
	b.repository("app")
	b.repository("other")
	auth := b.login(root())
	ask := func(method, url, body string, header ...string) *http.Response {
		t.Helper()
		return b.exchange(tr, auth, method, url, body, header...)
	}
	put := func(text string) { ask("POST", "/v2/app/blobs/uploads/?digest="+sum(text), text) }

	b.exchange(tr, &authn.Basic{Username: "docker", Password: "x"}, "GET", "/v2/", "")
	ask("GET", "/v2", "")
	ask("GET", "/v2/app/nothing", "")
	ask("POST", "/v2/app/tags/list", "")
	ask("GET", "/v2/none/tags/list", "")

	// Uploads, whole and in parts.
	put("{}")
	put("layer")
	ask("POST", "/v2/app/blobs/uploads/?digest="+sum("a"), "b")
	ask("POST", "/v2/app/blobs/uploads/?digest=md5:1", "b")
	started := ask("POST", "/v2/app/blobs/uploads/", "")
	at := started.Header.Get("Location")
	ask("GET", at, "")
	ask("PATCH", at, "one ", "Content-Range", "0-3")
	ask("PATCH", at, "two", "Content-Range", "5-7")
	ask("PATCH", at, "two", "Content-Range", "3-5")
	ask("PATCH", at, "two", "Content-Range", "-1-2")
	ask("PATCH", at, "two", "Content-Range", "all")
	ask("GET", at, "")
	ask("PATCH", at, "two")
	ask("PUT", at, "")
	ask("PUT", strings.Replace(at, "/app/", "/other/", 1)+"?digest="+sum("one two"), "")
	ask("PUT", at+"?digest="+sum("one two and more"), " and", "Content-Range", "1-4")
	ask("PUT", at+"?digest="+sum("one two more"), " more", "Content-Range", "7-11")
	ask("PUT", at+"?digest="+sum("one two more"), "")
	ask("PATCH", at, "late")
	ask("GET", at, "")
	ask("DELETE", at, "")
	long := ask("POST", "/v2/app/blobs/uploads/", "").Header.Get("Location")
	ask("PATCH", long, strings.Repeat("x", 30))
	dropped := ask("POST", "/v2/app/blobs/uploads", "").Header.Get("Location")
	ask("DELETE", dropped, "")
	ask("DELETE", dropped, "")
	ask("GET", "/v2/app/blobs/"+sum("one two more"), "", "Range", "bytes=4-6")
	ask("HEAD", "/v2/app/blobs/"+sum("one two more"), "")
	ask("HEAD", "/v2/other/blobs/"+sum("layer"), "")
	ask("GET", "/v2/app/blobs/"+sum("nothing"), "")

	// Manifests and what is wrong with them.
	image := manifestOf("layer", "")
	for _, c := range []struct{ reference, kind, text string }{
		{"1", imageType, image},
		{"2", imageType, image},
		{sum(image), imageType, image},
		{sum("else"), imageType, image},
		{strings.Repeat("x", 128), imageType, image},
		{strings.Repeat("x", 129), imageType, image},
		{"-1", imageType, image},
		{"1", "text/plain", image},
		{"1", indexType, image},
		{"1", imageType, "{"},
		{"1", imageType, strings.Replace(image, `"schemaVersion":2`, `"schemaVersion":1`, 1)},
		{"1", imageType, `{"schemaVersion":2}`},
		{"1", imageType, manifestOf("missing", "")},
		{"foreign", imageType, strings.Replace(manifestOf("missing", ""), "image.layer.v1.tar", "image.layer.nondistributable.v1.tar", 1)},
		{"signature", imageType, manifestOf("layer", `,"artifactType":"application/vnd.signature","subject":`+descriptorOf(imageType, image)+`,"annotations":{"by":"me"}`)},
		{"statement", imageType, manifestOf("layer", `,"subject":`+descriptorOf(imageType, image))},
		{"index", indexType, `{"schemaVersion":2,"manifests":[` + descriptorOf(imageType, image) + `]}`},
		{"index", indexType, `{"schemaVersion":2,"manifests":[` + descriptorOf(imageType, "missing") + `]}`},
		{"index", indexType, `{"schemaVersion":2,"manifests":[` + descriptorOf("application/vnd.oci.image.layer.v1.tar", "layer") + `]}`},
		{"large", imageType, strings.Repeat(" ", maxManifest+1)},
	} {
		b.clock.Advance(time.Second)
		ask("PUT", "/v2/app/manifests/"+c.reference, c.text, "Content-Type", c.kind)
	}
	ask("GET", "/v2/app/manifests/1", "")
	ask("HEAD", "/v2/app/manifests/"+sum(image), "")
	ask("GET", "/v2/app/manifests/none", "")
	ask("GET", "/v2/app/referrers/"+sum(image), "")
	ask("GET", "/v2/app/referrers/"+sum(image)+"?artifactType=application/vnd.signature", "")
	ask("GET", "/v2/app/referrers/"+sum("none"), "")
	for _, query := range []string{"", "?n=2", "?n=2&last=2", "?n=0", "?last=3", "?last=statement", "?n=-1", "?n=1000", "?n=1001", "?n=x"} {
		ask("GET", "/v2/app/tags/list"+query, "")
	}
	ask("GET", "/v2/_catalog?n=1", "")
	ask("POST", "/v2/_catalog", "")
	ask("DELETE", "/v2/app/manifests/"+sum(image), "")
	ask("DELETE", "/v2/app/manifests/2", "")
	ask("DELETE", "/v2/app/manifests/2", "")
	ask("DELETE", "/v2/app/manifests/index", "")
	tr.Compare(t, "testdata/protocol.yaml")
}

// The operations of ECR's API answer as the file says, member by member.
func TestAnswersOfTheAPI(t *testing.T) {
	b, tr := newBench(t), transcript.New()
	tr.Replace(b.host, "HOST")
	c, ctx, app := b.client([]string{"ecr:*"}, "*"), t.Context(), aws.String("app")
	for _, name := range []string{"app", "app/a", "a", strings.Repeat("a", 256), strings.Repeat("a", 257), "a//b"} {
		out, err := c.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
			EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms, KmsKey: aws.String("key")},
			ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
			ImageTagMutability:         types.ImageTagMutabilityMutableWithExclusion,
			ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{
				{Filter: aws.String("v*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}}})
		tr.Add("CreateRepository", out, err)
	}
	auth := b.login(root())
	blob := func(text string) { b.do(auth, "POST", "/v2/app/blobs/uploads/?digest="+sum(text), text) }
	blob("{}")
	blob("layer")
	blob("more")
	image, other := manifestOf("layer", ""), manifestOf("more", "")
	signature := manifestOf("layer", `,"artifactType":"application/vnd.signature","subject":`+descriptorOf(imageType, image)+`,"annotations":{"by":"me"}`)
	for _, push := range []struct{ tag, kind, text string }{
		{"1", imageType, image}, {"latest", imageType, image}, {"2", imageType, other}, {"2", imageType, signature}, {"v1", imageType, image},
		{"v1", imageType, other}, {"2", imageType, signature},
		{"index", indexType, `{"schemaVersion":2,"manifests":[` + descriptorOf(imageType, image) + `]}`},
	} {
		b.clock.Advance(time.Second)
		resp, text := b.do(auth, "PUT", "/v2/app/manifests/"+push.tag, push.text, "Content-Type", push.kind)
		tr.Add("push of "+push.tag, fmt.Sprint(resp.StatusCode, " ", text), nil)
	}
	list := func(in ecr.ListImagesInput) {
		in.RepositoryName = app
		out, err := c.ListImages(ctx, &in)
		tr.Add("ListImages", out, err)
	}
	describe := func(in ecr.DescribeImagesInput) *ecr.DescribeImagesOutput {
		in.RepositoryName = app
		out, err := c.DescribeImages(ctx, &in)
		tr.Add("DescribeImages", out, err)
		return out
	}
	byTag := func(tag string) types.ImageIdentifier { return types.ImageIdentifier{ImageTag: &tag} }
	by := func(digest, tag string) types.ImageIdentifier {
		return types.ImageIdentifier{ImageDigest: &digest, ImageTag: &tag}
	}
	list(ecr.ListImagesInput{})
	list(ecr.ListImagesInput{Filter: &types.ListImagesFilter{TagStatus: types.TagStatusUntagged}})
	list(ecr.ListImagesInput{MaxResults: aws.Int32(2)})
	describe(ecr.DescribeImagesInput{})
	describe(ecr.DescribeImagesInput{Filter: &types.DescribeImagesFilter{TagStatus: types.TagStatusUntagged}})
	describe(ecr.DescribeImagesInput{ImageIds: []types.ImageIdentifier{byTag("2"), by(sum(image), "latest")}})
	describe(ecr.DescribeImagesInput{ImageIds: []types.ImageIdentifier{by(sum(image), "2")}})
	describe(ecr.DescribeImagesInput{ImageIds: []types.ImageIdentifier{byTag("none")}})
	describe(ecr.DescribeImagesInput{ImageIds: []types.ImageIdentifier{{}}})
	describe(ecr.DescribeImagesInput{NextToken: aws.String("!")})
	if page := describe(ecr.DescribeImagesInput{MaxResults: aws.Int32(1)}); page != nil {
		describe(ecr.DescribeImagesInput{MaxResults: aws.Int32(1000), NextToken: page.NextToken})
	}
	get, err := c.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: app, AcceptedMediaTypes: []string{imageType},
		ImageIds: []types.ImageIdentifier{byTag("1"), byTag("none"), by(sum(image), "2"), {}, byTag("index"), {ImageDigest: aws.String(sum(other))}}})
	tr.Add("BatchGetImage", get, err)
	for _, in := range []ecr.ListImageReferrersInput{
		{RepositoryName: app, SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(sum(image))}},
		{RepositoryName: app, SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(sum(other))}},
		{RepositoryName: aws.String("none"), SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(sum(other))}},
	} {
		referrers, err := c.ListImageReferrers(ctx, &in)
		tr.Add("ListImageReferrers", referrers, err)
	}
	gone, err := c.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{
		byTag("latest"), {ImageDigest: aws.String(sum(image))}, byTag("2"), byTag("none"), {}, byTag("index"), {ImageDigest: aws.String(sum(image))}}})
	tr.Add("BatchDeleteImage", gone, err)
	list(ecr.ListImagesInput{})
	for _, names := range [][]string{nil, {"app/a", "app"}, {"app", "none"}} {
		out, err := c.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: names})
		tr.Add("DescribeRepositories", out, err)
	}
	for _, arn := range []string{b.ecr.ARN("app"), b.ecr.ARN("none"), "arn:aws:ecr:us-east-1:000000000000:other/app"} {
		tags, err := c.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: &arn})
		tr.Add("ListTagsForResource", tags, err)
	}
	elsewhere := aws.String("111122223333")
	_, err = c.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: app, RegistryId: elsewhere})
	tr.Add("ListImages elsewhere", nil, err)
	for _, in := range []ecr.DeleteRepositoryInput{{RepositoryName: app}, {RepositoryName: app, Force: true}, {RepositoryName: app}} {
		out, err := c.DeleteRepository(ctx, &in)
		tr.Add("DeleteRepository", out, err)
	}
	token, err := c.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	b.check(err)
	token.AuthorizationData[0].AuthorizationToken = nil
	tr.Add("GetAuthorizationToken", token, nil)
	tr.Compare(t, "testdata/api.yaml")
}

// Nobody can make a login: neither of another's text, nor of another's name.
func TestLoginsCannotBeMade(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	auth := b.login(b.role([]string{"ecr:ListImages"}, b.ecr.ARN("app"))).(*authn.Basic)
	payload, mac, _ := strings.Cut(auth.Password, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	b.check(err)
	encode := base64.RawURLEncoding.EncodeToString
	for what, password := range map[string]string{
		"another principal":   encode([]byte(strings.Replace(string(text), "assumed-role/build", "assumed-role/admin", 1))) + "." + mac,
		"no signature":        payload,
		"an empty signature":  payload + ".",
		"a part of it":        payload + "." + mac[:len(mac)-2],
		"a signature of text": encode([]byte("x")) + "." + mac,
		"no base64":           "!." + mac,
		"bad signature":       payload + ".!",
	} {
		resp, body := b.do(&authn.Basic{Username: "AWS", Password: password}, "GET", "/v2/app/tags/list", "")
		if resp.StatusCode != 400 || !strings.Contains(body, "Your Authorization Token is invalid.") {
			t.Errorf("%s: %s %s", what, resp.Status, body)
		}
	}
	another := newBench(t)
	if resp, _ := b.do(another.login(root()), "GET", "/v2/", ""); resp.StatusCode != 400 {
		t.Errorf("a login of another registry is answered with %s", resp.Status)
	}
	b.clock.Advance(12*time.Hour - time.Second)
	if resp, body := b.do(auth, "GET", "/v2/app/tags/list", ""); resp.StatusCode != 200 {
		t.Errorf("in its last second the login is answered with %s %s", resp.Status, body)
	}
	b.clock.Advance(time.Second)
	if resp, _ := b.do(auth, "GET", "/v2/app/tags/list", ""); resp.StatusCode != 403 {
		t.Errorf("after 12 hours the login is answered with %s", resp.Status)
	}
}

// A start of the engine frees the space of what no image needs, and nothing
// else; it drops uploads that were under way.
func TestAStartFreesWhatNoImageNeeds(t *testing.T) {
	b := newBench(t)
	b.repository("app")
	b.repository("other")
	auth := b.login(root())
	for _, text := range []string{"{}", "layer", "unused"} {
		for _, name := range []string{"app", "other"} {
			b.do(auth, "POST", "/v2/"+name+"/blobs/uploads/?digest="+sum(text), text)
		}
	}
	resp, body := b.do(auth, "PUT", "/v2/app/manifests/1", manifestOf("layer", ""), "Content-Type", imageType)
	if resp.StatusCode != 201 {
		t.Fatal(resp.Status, body)
	}
	resp, _ = b.do(auth, "POST", "/v2/app/blobs/uploads/", "")
	upload := resp.Header.Get("Location")
	b.stop()
	b.start()
	auth = b.login(root())
	for url, want := range map[string]int{
		"/v2/app/blobs/" + sum("{}"): 200, "/v2/app/blobs/" + sum("layer"): 200, "/v2/app/blobs/" + sum("unused"): 404,
		"/v2/other/blobs/" + sum("layer"): 404, "/v2/app/manifests/1": 200, upload: 404,
	} {
		if resp, body := b.do(auth, "GET", url, ""); resp.StatusCode != want {
			t.Errorf("%s: %s %s, want %d", url, resp.Status, body, want)
		}
	}
}

// The template with the longest prefix makes a repository, with all its
// settings.
func TestTheClosestTemplateMakesARepository(t *testing.T) {
	b, tr := newBench(t), transcript.New()
	tr.Replace(b.host, "HOST")
	template := func(prefix, description string, applied ...types.RCTAppliedFor) {
		b.clock.Advance(time.Second)
		b.check(b.ecr.PutRepositoryCreationTemplate(types.RepositoryCreationTemplate{
			Prefix: &prefix, Description: &description, AppliedFor: applied, ImageTagMutability: types.ImageTagMutabilityImmutable,
			LifecyclePolicy: aws.String(expirePushed), RepositoryPolicy: aws.String(`{"Statement":[]}`), CustomRoleArn: aws.String("role"),
			ResourceTags:            []types.Tag{{Key: aws.String("prefix"), Value: &prefix}},
			EncryptionConfiguration: &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeKms, KmsKey: aws.String("key")},
		}))
	}
	template("ROOT", "all", types.RCTAppliedForCreateOnPush)
	template("team", "one", types.RCTAppliedForCreateOnPush, types.RCTAppliedForPullThroughCache)
	template("team/a", "two", types.RCTAppliedForCreateOnPush)
	template("team/a/b", "cache", types.RCTAppliedForPullThroughCache)
	template("team", "changed", types.RCTAppliedForCreateOnPush)
	auth := b.login(root())
	for _, name := range []string{"team/x", "team/a/b/c", "teams", "team"} {
		b.exchange(tr, auth, "POST", "/v2/"+name+"/blobs/uploads/?digest="+sum("layer"), "layer")
		r, err := b.ecr.Repository(name)
		tr.Add(name, r, err)
	}
	client := b.client([]string{"ecr:*"}, "*")
	for _, in := range []ecr.DescribeRepositoryCreationTemplatesInput{{}, {Prefixes: []string{"team"}}, {MaxResults: aws.Int32(3)}, {NextToken: aws.String("!")}} {
		out, err := client.DescribeRepositoryCreationTemplates(t.Context(), &in)
		tr.Add("DescribeRepositoryCreationTemplates", out, err)
	}
	for _, prefix := range []string{"", "Team", "team//"} {
		tr.Add("a template of "+prefix, nil, b.ecr.PutRepositoryCreationTemplate(types.RepositoryCreationTemplate{Prefix: &prefix}))
		tr.Add("a rule of "+prefix, nil, b.ecr.PutPullThroughCacheRule(prefix))
	}
	b.check(b.ecr.RemoveRepositoryCreationTemplate("ROOT"))
	b.exchange(tr, auth, "POST", "/v2/teamless/blobs/uploads/", "")
	tr.Compare(t, "testdata/creation-templates.yaml")
}

// Who pulls under a rule needs the permissions of an import, also for what is
// there.
func TestPullsUnderARuleNeedItsPermissions(t *testing.T) {
	b := newBench(t)
	b.repository("hub/app")
	b.check(b.ecr.PutPullThroughCacheRule("hub"))
	pull := func(name string, actions ...string) string {
		resp, body := b.do(b.login(b.role(append(actions, "ecr:BatchGetImage"), "*")), "GET", "/v2/"+name+"/manifests/1", "")
		return fmt.Sprint(resp.StatusCode, " ", body)
	}
	for _, c := range []struct{ got, want string }{
		{pull("hub/app"), "perform: ecr:BatchImportUpstreamImage on resource: " + b.ecr.ARN("hub/app")},
		{pull("hub/app", "ecr:BatchImportUpstreamImage"), "404"},
		{pull("hub/new", "ecr:BatchImportUpstreamImage"), "perform: ecr:CreateRepository on resource: " + b.ecr.ARN("hub/new")},
		{pull("hubs/app"), "404"},
		{pull("hub"), "404"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
	b.check(b.ecr.RemovePullThroughCacheRule("hub"))
	if got := pull("hub/app"); !strings.HasPrefix(got, "404") {
		t.Errorf("without the rule: %s", got)
	}
	b.check(b.ecr.PutPullThroughCacheRule("ROOT"))
	if got := pull("hub/app"); !strings.Contains(got, "ecr:BatchImportUpstreamImage") {
		t.Errorf("with a rule of everything: %s", got)
	}
}
