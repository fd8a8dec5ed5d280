module gostuck.dev/programs/leak-kernels

go 1.19
