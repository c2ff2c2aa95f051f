package resources

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Parameters is what the parameter provider needs of the engine's Systems
// Manager.
type Parameters interface {
	GetParameter(context.Context, *ssm.GetParameterInput) (*ssm.GetParameterOutput, error)
	PutParameter(context.Context, *ssm.PutParameterInput) (*ssm.PutParameterOutput, error)
	AddTagsToResource(context.Context, *ssm.AddTagsToResourceInput) (*ssm.AddTagsToResourceOutput, error)
	RemoveTagsFromResource(context.Context, *ssm.RemoveTagsFromResourceInput) (*ssm.RemoveTagsFromResourceOutput, error)
	DeleteParameter(context.Context, *ssm.DeleteParameterInput) (*ssm.DeleteParameterOutput, error)
}

// parameterProvider is AWS::SSM::Parameter.
type parameterProvider struct{ parameters Parameters }

func (parameterProvider) Schema() Schema {
	return Schema{
		Attributes: []string{"Type", "Value"},
		Properties: map[string]Property{
			"AllowedPattern": {},
			"DataType":       {Values: []string{"text"}},
			"Description":    {},
			"Name":           {CreateOnly: true},
			"Policies":       {Refused: "parameters do not expire"},
			"Tags":           {Kind: JSON},
			"Tier":           {Values: []string{"Standard", "Advanced", "Intelligent-Tiering"}},
			"Type":           {Required: true, Values: []string{"String", "StringList"}},
			"Value":          {Required: true},
		},
	}
}

func (p parameterProvider) Create(ctx context.Context, r Request) (Resource, error) {
	return p.put(ctx, r, r.Name("Name", 255), false)
}

func (p parameterProvider) Update(ctx context.Context, r Request, name string) (Resource, error) {
	return p.put(ctx, r, name, true)
}

func (p parameterProvider) put(ctx context.Context, r Request, name string, overwrite bool) (Resource, error) {
	in, err := convert[ssm.PutParameterInput](without(r.Properties, "Tags"))
	if err != nil {
		return Resource{}, err
	}
	in.Name, in.Overwrite = &name, &overwrite
	if _, err := p.parameters.PutParameter(ctx, &in); err != nil {
		return Resource{}, err
	}
	if err := p.putTags(ctx, r, name); err != nil {
		return Resource{}, err
	}
	return Resource{PhysicalID: name, Attributes: map[string]any{"Type": string(in.Type), "Value": aws.ToString(in.Value)}}, nil
}

// putTags changes the tags of a parameter. Unlike those of other types, they
// are an object in the template.
func (p parameterProvider) putTags(ctx context.Context, r Request, name string) error {
	before, tags := textMap(r.Previous["Tags"]), textMap(r.Properties["Tags"])
	if gone := keysGone(before, tags); len(gone) > 0 {
		if _, err := p.parameters.RemoveTagsFromResource(ctx, &ssm.RemoveTagsFromResourceInput{
			ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: &name, TagKeys: gone,
		}); err != nil {
			return err
		}
	}
	in := &ssm.AddTagsToResourceInput{ResourceType: types.ResourceTypeForTaggingParameter, ResourceId: &name}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: aws.String(tags[key])})
	}
	if len(in.Tags) == 0 {
		return nil
	}
	_, err := p.parameters.AddTagsToResource(ctx, in)
	return err
}

// textMap returns a property that is an object of texts.
func textMap(property any) map[string]string {
	texts := map[string]string{}
	for key, value := range object(property) {
		texts[key] = text(value)
	}
	return texts
}

func (p parameterProvider) Existing(ctx context.Context, r Request) (string, bool, error) {
	return existing(r.String("Name"), func(name string) (bool, error) {
		_, err := p.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		return unlessNotFound[*types.ParameterNotFound](err)
	})
}

func (p parameterProvider) Delete(ctx context.Context, _ Request, name string) error {
	_, err := p.parameters.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
	_, err = unlessNotFound[*types.ParameterNotFound](err)
	return err
}
