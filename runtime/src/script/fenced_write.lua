-- KEYS[1] the resource; KEYS[2] its fence; ARGV[1] our token; ARGV[2] the value, absent to remove it. Returns {1, nil} or {0, newest}.
local newest = stale(KEYS[2], ARGV[1])
if newest then
  return {0, newest}
end
if ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('UNLINK', KEYS[1])
end
return {1, false}
