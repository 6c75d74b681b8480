subject = Your opinion: { $product }
preheader = Two minutes of yours help others choose well.
headline = How is it working out?
intro = You have had your { $product } for a little while now. What do you like about it, and what could be better?
why = Other customers read your words before they decide. Every honest review helps, good or bad, and it takes about two minutes.
write-review = Write a review
view-product = See the product
sms = { $shop }: how do you like your purchase? Your honest review helps others choose: { $url }
