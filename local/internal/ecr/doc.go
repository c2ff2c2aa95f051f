// Package ecr is the local engine's container registry: Amazon ECR's API and,
// behind ECR's login, a registry that docker, BuildKit and every other client
// of the OCI distribution protocol can push to and pull from.
//
//	service, err := ecr.New(ecr.Options{Store: db, Dir: dir, Host: "127.0.0.1:4510", Region: "us-east-1"})
//	repository, err := service.AddRepository(ecr.Repository{Repository: types.Repository{RepositoryName: aws.String("app")}})
//	token, err := service.GetAuthorizationToken(ctx, nil)   // the caller's, for 12 hours
//	handler := wire.New(wire.Config{Registry: service, …}) // docker push 127.0.0.1:4510/app:1
//	images, err := service.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
//
// The methods with the SDK's shape are the API's operations. Both sides look at
// one truth, the tables of the state file: repositories, images (manifests),
// tags and layers. A push is in there before it is answered, so that it
// survives the engine's death. The layers' bytes are files named by their
// digest. A layer belongs to the repositories it was pushed to, as on ECR, and
// cannot be read through another.
//
// The distribution protocol is written here: docs/adr/0006-by-hand.md says why,
// and what the libraries that were tried lack.
//
// Not done: lifecycle policies are kept but never run, images are never scanned
// or replicated. Pull-through rules ask callers for the permissions of such a
// pull, and import nothing.
package ecr
