package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/codebuild-flex/flexbuild/local/internal/s3"
)

// Buckets is what the bucket provider needs of the engine's S3.
type Buckets interface {
	AddBucket(name string) error
	HasBucket(name string) (bool, error)
	PutLifecycle(name string, rules []s3.Expiry) error
	PutEncryption(name string, e s3.Encryption) error
	PutVersioning(name, state string) error
	PutPolicy(name string, document, enforced json.RawMessage) error
	PutTags(name string, tags map[string]string) error
	DeleteBucket(name string) error
}

// lowerName is Request.Name for types whose names have no capitals.
func lowerName(r Request, property string, limit int) string {
	if name := r.String(property); name != "" {
		return name
	}
	return strings.ToLower(r.Name("", limit))
}

// bucketProvider is AWS::S3::Bucket.
type bucketProvider struct {
	buckets Buckets
	region  string
}

func (bucketProvider) Schema() Schema {
	return Schema{
		Attributes: []string{"Arn", "DomainName", "RegionalDomainName"},
		Properties: map[string]Property{
			"AccessControl":                  {Values: []string{"Private"}},
			"BucketEncryption":               bucketEncryption,
			"BucketName":                     {CreateOnly: true},
			"LifecycleConfiguration":         {Kind: Object, Fields: map[string]Property{"Rules": {Kind: List, Required: true, Items: lifecycleRule()}}},
			"OwnershipControls":              {Kind: JSON, Inert: "there is one account"},
			"PublicAccessBlockConfiguration": {Kind: JSON, Inert: "every request is signed, and access lists do not exist"},
			"Tags":                           tagList,
			"VersioningConfiguration": {Kind: Object, Fields: map[string]Property{
				"Status": {Required: true, Values: []string{"Enabled", "Suspended"}},
			}},
		},
	}
}

// bucketEncryption is what a bucket says of its objects' encryption, in its
// first and only rule.
var bucketEncryption = Property{
	Kind:  Object,
	Inert: "it is reported; objects lie in the state directory, readable by its owner only, and there is no KMS",
	Fields: map[string]Property{
		"ServerSideEncryptionConfiguration": {Kind: List, Required: true, Items: &Property{Kind: Object, Fields: map[string]Property{
			"BlockedEncryptionTypes": {Kind: JSON, Inert: "requests with a key of the customer's own are refused anyway"},
			"BucketKeyEnabled":       {Kind: Boolean},
			"ServerSideEncryptionByDefault": {Kind: Object, Fields: map[string]Property{
				"KMSMasterKeyID": {},
				"SSEAlgorithm":   {Required: true, Values: s3.Encryptions},
			}},
		}}},
	},
}

func lifecycleRule() *Property {
	return &Property{Kind: Object, Fields: map[string]Property{
		"AbortIncompleteMultipartUpload": {Kind: JSON, Inert: "an upload that is not finished goes with its bucket"},
		"ExpirationInDays":               {Kind: Integer},
		"Id":                             {},
		"NoncurrentVersionExpiration":    {Kind: JSON, Inert: "older versions do not expire"},
		"Prefix":                         {},
		"Status":                         {Required: true, Values: []string{"Enabled", "Disabled"}},
	}}
}

func (p bucketProvider) Create(ctx context.Context, r Request) (Resource, error) {
	name := lowerName(r, "BucketName", 63)
	if err := p.buckets.AddBucket(name); err != nil {
		return Resource{}, err
	}
	return p.Update(ctx, r, name)
}

func (p bucketProvider) Existing(_ context.Context, r Request) (string, bool, error) {
	return existing(r.String("BucketName"), p.buckets.HasBucket)
}

func (p bucketProvider) Update(_ context.Context, r Request, name string) (Resource, error) {
	made := Resource{PhysicalID: name, Attributes: map[string]any{
		"Arn":                "arn:aws:s3:::" + name,
		"DomainName":         name + ".s3.amazonaws.com",
		"RegionalDomainName": name + ".s3." + p.region + ".amazonaws.com",
	}}
	return made, errors.Join(
		p.putVersioning(name, text(object(r.Properties["VersioningConfiguration"])["Status"])),
		p.buckets.PutLifecycle(name, expiries(r.Properties["LifecycleConfiguration"])),
		p.buckets.PutEncryption(name, encryption(r.Properties["BucketEncryption"])),
		p.buckets.PutTags(name, tagMap(r.Properties["Tags"])),
	)
}

// putVersioning sets the state of a bucket's versioning. Without the property
// the state stays, because a bucket cannot lose it.
func (p bucketProvider) putVersioning(name, state string) error {
	if state == "" {
		return nil
	}
	return p.buckets.PutVersioning(name, state)
}

// encryption reads a bucket's one rule.
func encryption(property any) (e s3.Encryption) {
	for _, rule := range items(object(property)["ServerSideEncryptionConfiguration"]) {
		byDefault := object(object(rule)["ServerSideEncryptionByDefault"])
		e = s3.Encryption{Algorithm: text(byDefault["SSEAlgorithm"]), KeyID: text(byDefault["KMSMasterKeyID"])}
		e.BucketKey, _ = object(rule)["BucketKeyEnabled"].(bool)
	}
	return e
}

// expiries are the lifecycle rules that delete objects.
func expiries(configuration any) []s3.Expiry {
	var expiries []s3.Expiry
	for _, item := range items(object(configuration)["Rules"]) {
		rule := object(item)
		days, _ := rule["ExpirationInDays"].(float64)
		if text(rule["Status"]) == "Enabled" && days > 0 {
			expiries = append(expiries, s3.Expiry{Prefix: text(rule["Prefix"]), Days: int(days)})
		}
	}
	return expiries
}

func (p bucketProvider) Delete(_ context.Context, _ Request, name string) error {
	return p.buckets.DeleteBucket(name)
}

// bucketPolicyProvider is AWS::S3::BucketPolicy. The engine enforces the
// statements that deny something by what it knows of a request. Those that deny
// what does not come over TLS hold anyway: the engine is on the loopback
// interface.
type bucketPolicyProvider struct{ buckets Buckets }

func (bucketPolicyProvider) Schema() Schema {
	return Schema{Properties: map[string]Property{
		"Bucket":         {Required: true, CreateOnly: true},
		"PolicyDocument": {Kind: JSON, Required: true, Check: checkBucketPolicy},
	}}
}

// transportConditions are the condition keys that ask how a request was
// carried.
var transportConditions = map[string]bool{"aws:securetransport": true, "s3:tlsversion": true}

func checkBucketPolicy(value any) error {
	enforced := enforcedPolicy(value)
	if enforced == nil {
		return nil
	}
	if err := s3.CheckPolicy(enforced); err != nil {
		return fmt.Errorf("has what the local engine would not enforce: %w", err)
	}
	return nil
}

// enforcedPolicy is a bucket policy's document without the statements about the
// transport, and nil if it has no others.
func enforcedPolicy(value any) json.RawMessage {
	policy := maps.Clone(object(value))
	statements := items(policy["Statement"])
	if one, ok := policy["Statement"].(map[string]any); ok {
		statements = []any{one}
	}
	transport := func(statement any) bool {
		return text(object(statement)["Effect"]) == "Deny" && onlyTransport(object(statement)["Condition"])
	}
	if len(statements) > 0 && !slices.ContainsFunc(statements, func(s any) bool { return !transport(s) }) {
		return nil
	}
	policy["Statement"] = slices.DeleteFunc(slices.Clone(statements), transport)
	return document(policy)
}

// onlyTransport reports whether a statement's conditions ask about the
// transport and nothing else.
func onlyTransport(condition any) bool {
	keys := 0
	for _, operands := range object(condition) {
		for key := range object(operands) {
			if !transportConditions[strings.ToLower(key)] {
				return false
			}
			keys++
		}
	}
	return keys > 0
}

func (p bucketPolicyProvider) Create(_ context.Context, r Request) (Resource, error) {
	bucket, policy := r.String("Bucket"), r.Properties["PolicyDocument"]
	return Resource{PhysicalID: bucket}, p.buckets.PutPolicy(bucket, document(policy), enforcedPolicy(policy))
}

func (p bucketPolicyProvider) Update(ctx context.Context, r Request, _ string) (Resource, error) {
	return p.Create(ctx, r)
}

// Delete accepts that the bucket went first, and its policy with it.
func (p bucketPolicyProvider) Delete(_ context.Context, _ Request, bucket string) error {
	exists, err := p.buckets.HasBucket(bucket)
	if err != nil || !exists {
		return err
	}
	return p.buckets.PutPolicy(bucket, nil, nil)
}
