-- KEYS[1] the key; ARGV[1] what it must hold; ARGV[2] its life from now in milliseconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
