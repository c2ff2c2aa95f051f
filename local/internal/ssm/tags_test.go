package ssm_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func TestTags(t *testing.T) {
	client := newClient(t)
	name, kind := aws.String("/team/token"), types.ResourceTypeForTaggingParameter
	first := put(*name, "v", types.ParameterTypeString)
	first.Tags = []types.Tag{tag("b", "2"), tag("a", "1")}
	_, err := client.PutParameter(t.Context(), first)
	must(t, err)
	wantTags := func(want string) {
		t.Helper()
		out, err := client.ListTagsForResource(t.Context(), &sdk.ListTagsForResourceInput{ResourceType: kind, ResourceId: name})
		must(t, err)
		got := ""
		for _, tag := range out.TagList {
			got += *tag.Key + *tag.Value
		}
		if got != want {
			t.Errorf("the tags are %q, want %q", got, want)
		}
	}
	wantTags("a1b2")
	again := put(*name, "w", types.ParameterTypeString)
	again.Overwrite = aws.Bool(true)
	_, err = client.PutParameter(t.Context(), again)
	must(t, err)
	wantTags("a1b2") // another value keeps them
	again.Tags = first.Tags
	_, err = client.PutParameter(t.Context(), again)
	wantError(t, err, "ValidationException", "tags and overwrite can't be used together")

	_, err = client.AddTagsToResource(t.Context(), &sdk.AddTagsToResourceInput{ResourceType: kind, ResourceId: name, Tags: []types.Tag{tag("b", "3"), tag("c", "4")}})
	must(t, err)
	wantTags("a1b3c4")
	_, err = client.RemoveTagsFromResource(t.Context(), &sdk.RemoveTagsFromResourceInput{ResourceType: kind, ResourceId: name, TagKeys: []string{"a", "z"}})
	must(t, err)
	wantTags("b3c4")
}

func TestTagsThatAreRefused(t *testing.T) {
	client := newClient(t)
	_, err := client.PutParameter(t.Context(), put("p", "v", types.ParameterTypeString))
	must(t, err)
	var many []types.Tag
	for i := range 51 {
		many = append(many, tag(fmt.Sprint(i), ""))
	}
	add := func(kind types.ResourceTypeForTagging, id string, tags []types.Tag) error {
		_, err := client.AddTagsToResource(t.Context(), &sdk.AddTagsToResourceInput{ResourceType: kind, ResourceId: &id, Tags: tags})
		return err
	}
	wantError(t, add(types.ResourceTypeForTaggingParameter, "p", many), "TooManyTagsError", "")
	wantError(t, add(types.ResourceTypeForTaggingParameter, "q", many[:1]), "InvalidResourceId", "")
	wantError(t, add(types.ResourceTypeForTaggingDocument, "p", many[:1]), "ValidationException", "resourceType Document is not supported")
	wantError(t, add(types.ResourceTypeForTaggingParameter, "p", []types.Tag{tag("a", "1"), tag("a", "2")}), "ValidationException", "Duplicate tag key: a")
	wantError(t, add(types.ResourceTypeForTaggingParameter, "p", []types.Tag{tag("AWS:a", "1")}), "ValidationException", "reserved: AWS:a")
	_, err = client.ListTagsForResource(t.Context(), &sdk.ListTagsForResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: aws.String("q")})
	wantError(t, err, "InvalidResourceId", "")
	must(t, add(types.ResourceTypeForTaggingParameter, "p", many[:50]))
}
