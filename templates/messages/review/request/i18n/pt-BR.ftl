subject = Sua opinião: { $product }
preheader = Dois minutos seus ajudam outras pessoas a escolher bem.
headline = E aí, o que está achando?
intro = Já faz um tempinho que você está com o seu produto: { $product }. Do que você gosta e o que poderia ser melhor?
why = Outros clientes leem a sua opinião antes de decidir. Toda avaliação sincera ajuda, positiva ou negativa, e leva uns dois minutos.
write-review = Escrever avaliação
view-product = Ver o produto
sms = { $shop }: o que achou da sua compra? Conte aos outros clientes com sinceridade: { $url }
