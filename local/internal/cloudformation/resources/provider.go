package resources

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
)

// A Provider makes, changes and removes the resources of one CloudFormation
// type. Its methods may be called for different stacks at the same time.
type Provider interface {
	// Schema names everything that a template may say about the type.
	Schema() Schema

	// Create makes a resource. It fails if one of that name exists. If it
	// fails half-way it either undoes what it did or returns the physical id
	// with the error, and Delete is called for it then.
	Create(ctx context.Context, r Request) (Resource, error)

	// Update changes a resource in place. It is not called when a property
	// changes that the schema marks CreateOnly: the resource is replaced then.
	Update(ctx context.Context, r Request, physicalID string) (Resource, error)

	// Delete removes a resource. That it is gone already is no error.
	Delete(ctx context.Context, r Request, physicalID string) error
}

// An Importer is a Provider whose resources a stack can take over when
// CreateChangeSet asks for ImportExistingResources.
type Importer interface {
	Provider
	// Existing returns the name that the properties give the resource, and
	// whether there is one of that name. Update is called to take it over.
	Existing(ctx context.Context, r Request) (physicalID string, exists bool, err error)
}

// existing looks for a resource of a name that the template gives, if it gives
// one.
func existing(name string, has func(name string) (bool, error)) (string, bool, error) {
	if name == "" {
		return "", false, nil
	}
	exists, err := has(name)
	return name, exists, err
}

// A Request describes to a provider the resource that it handles.
type Request struct {
	StackName string
	StackID   string
	LogicalID string
	// Properties are resolved and have the schema's kinds: string, bool,
	// float64, []any, map[string]any.
	Properties map[string]any
	// Previous are the properties before an update, as Properties.
	Previous map[string]any
}

// A Resource is what a provider made.
type Resource struct {
	// PhysicalID is the value of Ref.
	PhysicalID string
	// Attributes are the values of Fn::GetAtt.
	Attributes map[string]any
	// Note says what of the properties has no effect here, though a stack may
	// have it. The resource's events repeat it, for whoever deploys to read.
	Note string
}

// String returns a string property, "" if it is not set.
func (r Request) String(name string) string {
	text, _ := r.Properties[name].(string)
	return text
}

// Name returns the property that names the resource or, if that is not set, a
// new name made of the stack's, the logical id and random characters, with at
// most limit characters.
func (r Request) Name(property string, limit int) string {
	if name := r.String(property); name != "" {
		return name
	}
	const randomLength = 12
	base := r.StackName + "-" + r.LogicalID
	if most := limit - randomLength - 1; len(base) > most {
		base = strings.TrimRight(base[:most], "-")
	}
	return base + "-" + rand.Text()[:randomLength]
}

// WithoutCode is an error without the name of the operation and the code that
// the SDK's errors begin with.
func WithoutCode(err error) error {
	if api, ok := err.(smithy.APIError); ok {
		return fmt.Errorf("%s", api.ErrorMessage())
	}
	return err
}
