module moment

go 1.19
