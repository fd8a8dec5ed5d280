-- A script of wrk's. Arguments: none, or the least and the longest pause before a request, in
-- milliseconds. Prints every latency that occurred, in microseconds, and how often it did.

function init(args)
  local least, longest = tonumber(args[1]), tonumber(args[2])
  if least then
    math.randomseed(os.time())
    delay = function() return math.random(least, longest) end
  end
end

done = function(_, latency)
  io.write("latencies")
  for i = 1, #latency do
    io.write(string.format(" %d:%d", latency(i)))
  end
  io.write("\n")
end
