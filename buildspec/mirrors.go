package buildspec

// DockerHubMirrors returns the mirrors of Docker Hub that builds use by
// default, in order. None of them needs an account.
//
// public.ecr.aws/docker is AWS's own copy of the Docker Official Images and has
// nothing else. mirror.gcr.io is Google's cache of Docker Hub, a best effort.
// It has everything else, including BuildKit's own image and the
// docker/dockerfile frontend.
func DockerHubMirrors() []string {
	return []string{"public.ecr.aws/docker", "mirror.gcr.io"}
}
