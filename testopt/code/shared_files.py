"""Which files may affect every case: what is installed, built and configured."""

from __future__ import annotations

from typing import Final

# Files on which the result of every case may depend.
RUN_ALL_ON: Final = (
    # what is installed
    "*.lock", "*.lockfile", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "go.sum",
    "requirements*.txt", "requirements/*.txt", "*/requirements/*.txt", "constraints*.txt",
    "environment.yml", "environment.yaml", "Pipfile", "Gemfile", ".tool-versions",
    ".python-version", ".nvmrc", "rust-toolchain*", "*/gradle/libs.versions.toml", "*.gemspec",
    # how CI runs
    ".github/workflows/*", ".github/actions/*", ".gitlab-ci.yml", ".gitlab/*", ".circleci/*",
    ".buildkite/*", "azure-pipelines*.yml", "Jenkinsfile*", ".travis.yml", "appveyor.yml",
    # how it is built and tested
    "pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py", "pytest.ini", ".coveragerc",
    "package.json", "tsconfig*.json", "babel.config.*", "jest.config.*", "vitest.config.*",
    "go.mod", "Cargo.toml", "pom.xml", "build.gradle*", "settings.gradle*", "gradle.properties",
    "*.csproj", "*.sln", "Directory.*.props", "CMakeLists.txt", "*.cmake", "Makefile",
    "configure.ac", "meson.build", "BUILD", "BUILD.bazel", "WORKSPACE", "MODULE.bazel",
    "Dockerfile*", "docker-compose*.yml", ".gitmodules",
)  # fmt: skip
