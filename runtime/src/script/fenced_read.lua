-- KEYS[1] the resource; KEYS[2] its fence; ARGV[1] our token. Registers the token, then reads. Returns {1, value} or {0, newest}.
local newest = stale(KEYS[2], ARGV[1])
if newest then
  return {0, newest}
end
return {1, redis.call('GET', KEYS[1])}
